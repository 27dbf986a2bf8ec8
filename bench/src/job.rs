//! What is measured, against whom, and which ratios are wanted.

/// One row of the table of what is wanted: medians of paired ratios at most as large as these.
#[derive(Debug, PartialEq)]
pub(crate) struct Bar {
    /// Which of our ways.
    pub(crate) ours: Way,
    pub(crate) against: Way,
    pub(crate) processor: f64,
    pub(crate) wall: f64,
    pub(crate) memory: Memory,
}

/// How much memory may be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Memory {
    /// As a share of the peer's.
    Share(f64),
    /// Mebibytes, whatever the peer takes.
    Mebibytes(f64),
}

/// A program and how it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Pixmill,
    /// With `effort = "fast"` for WebP.
    PixmillFast,
    Sharp,
    /// With WebP's effort at 2.
    SharpFast,
    Pyvips,
    Pillow,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pixmill => "pixmill",
            Self::PixmillFast => "pixmill, fast effort",
            Self::Sharp => "sharp",
            Self::SharpFast => "sharp, WebP effort 2",
            Self::Pyvips => "pyvips",
            Self::Pillow => "Pillow",
        }
    }

    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Pixmill | Self::PixmillFast)
    }

    /// What its files lie under.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Pixmill => "pixmill",
            Self::PixmillFast => "pixmill-fast",
            Self::Sharp => "sharp",
            Self::SharpFast => "sharp-fast",
            Self::Pyvips => "pyvips",
            Self::Pillow => "pillow",
        }
    }
}

/// Which pictures a job takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Input {
    /// Every JPEG and PNG of the folder.
    All,
    /// Every JPEG.
    Jpegs,
    /// The one whose size is nearest to 12 megapixels.
    TwelveMegapixels,
    /// A thousand small ones, drawn here.
    Small,
    /// One of 50 megapixels, made of the largest one by tiling.
    Large,
}

/// What is made of each picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Make {
    Five,
    WithoutWebp,
    Thumbnail,
}

impl Make {
    /// The peers' name for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Five => "five",
            Self::WithoutWebp => "without-webp",
            Self::Thumbnail => "thumbnail",
        }
    }

    /// The recipe's file.
    pub(crate) fn recipe(self, way: Way) -> &'static str {
        match (self, way) {
            (Self::Five, Way::PixmillFast) => "five-fast.toml",
            (Self::Five, _) => "five.toml",
            (Self::WithoutWebp, _) => "without-webp.toml",
            (Self::Thumbnail, _) => "thumbnail.toml",
        }
    }

    /// The files of each picture.
    pub(crate) fn files(self) -> &'static [&'static str] {
        match self {
            Self::Five => &[
                "compressed.jpg",
                "low.jpg",
                "webp.webp",
                "png.png",
                "thumbnail.jpg",
            ],
            Self::WithoutWebp => &["compressed.jpg", "low.jpg", "png.png", "thumbnail.jpg"],
            Self::Thumbnail => &["thumbnail.jpg"],
        }
    }
}

/// What a job is.
#[derive(Debug, PartialEq)]
pub(crate) enum Kind {
    /// Programs beside each other.
    Contest {
        input: Input,
        make: Make,
        ways: &'static [Way],
        one_core: bool,
        bars: &'static [Bar],
    },
    /// Two jobs on two cores, cost by size, memory of a long batch.
    Scaling,
    /// Memory foretold and measured, for every picture.
    Prediction,
}

/// One thing to measure.
#[derive(Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    /// A heading.
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
}

const fn bar(ours: Way, against: Way, time: (f64, f64), memory: Memory) -> Bar {
    Bar {
        ours,
        against,
        processor: time.0,
        wall: time.1,
        memory,
    }
}

use Memory::{Mebibytes, Share};

const EVERYBODY: &[Way] = &[Way::Pixmill, Way::Sharp, Way::Pyvips, Way::Pillow];

/// In the order in which they run.
pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "five",
        title: "Five variants of every photo",
        kind: Kind::Contest {
            input: Input::All,
            make: Make::Five,
            ways: &[
                Way::Pixmill,
                Way::PixmillFast,
                Way::Sharp,
                Way::SharpFast,
                Way::Pyvips,
                Way::Pillow,
            ],
            one_core: false,
            bars: &[
                bar(Way::Pixmill, Way::Sharp, (0.55, 0.55), Share(0.65)),
                bar(Way::PixmillFast, Way::Sharp, (0.31, 0.31), Share(0.65)),
                bar(Way::PixmillFast, Way::SharpFast, (0.44, 0.44), Share(0.65)),
                bar(Way::Pixmill, Way::Pillow, (0.28, 0.27), Share(0.75)),
            ],
        },
    },
    Job {
        name: "thumbnails",
        title: "A thumbnail of every JPEG, and nothing else",
        kind: Kind::Contest {
            input: Input::Jpegs,
            make: Make::Thumbnail,
            ways: EVERYBODY,
            one_core: false,
            bars: &[bar(Way::Pixmill, Way::Sharp, (0.58, 0.58), Share(0.35))],
        },
    },
    Job {
        name: "one-core",
        title: "Five variants of one photo of 12 megapixels, on one core",
        kind: Kind::Contest {
            input: Input::TwelveMegapixels,
            make: Make::Five,
            ways: EVERYBODY,
            one_core: true,
            bars: &[bar(
                Way::Pixmill,
                Way::Sharp,
                (0.62, 0.62),
                Mebibytes(140.0),
            )],
        },
    },
    Job {
        name: "without-webp",
        title: "Every photo without WebP",
        kind: Kind::Contest {
            input: Input::All,
            make: Make::WithoutWebp,
            ways: EVERYBODY,
            one_core: false,
            bars: &[],
        },
    },
    Job {
        name: "small",
        title: "Five variants of 1,000 small pictures",
        kind: Kind::Contest {
            input: Input::Small,
            make: Make::Five,
            ways: EVERYBODY,
            one_core: false,
            bars: &[],
        },
    },
    Job {
        name: "large",
        title: "Five variants of one picture of 50 megapixels",
        kind: Kind::Contest {
            input: Input::Large,
            make: Make::Five,
            ways: EVERYBODY,
            one_core: false,
            bars: &[],
        },
    },
    Job {
        name: "scaling",
        title: "Scaling",
        kind: Kind::Scaling,
    },
    Job {
        name: "prediction",
        title: "Memory foretold and taken",
        kind: Kind::Prediction,
    },
];
