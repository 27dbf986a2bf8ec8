//! XMP as a rendition may carry it: a packet is read property by property and written anew.
//!
//! What may pass is decided by name, and where places must not get out, by a list of what may pass: a
//! property that isn't known could hold anything. Nested properties are held against the same rules,
//! because histories embed whole packets. What is no longer true never passes.

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, Writer};

use crate::recipe::MetadataRule;

const RDF: &[u8] = b"http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const META: &[u8] = b"adobe:ns:meta/";
const DC: &[u8] = b"http://purl.org/dc/elements/1.1/";
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/";
const RIGHTS: &[u8] = b"http://ns.adobe.com/xap/1.0/rights/";
const MM: &[u8] = b"http://ns.adobe.com/xap/1.0/mm/";
const NOTE: &[u8] = b"http://ns.adobe.com/xmp/note/";
const PHOTOSHOP: &[u8] = b"http://ns.adobe.com/photoshop/1.0/";
const TIFF: &[u8] = b"http://ns.adobe.com/tiff/1.0/";
const EXIF: &[u8] = b"http://ns.adobe.com/exif/1.0/";
const EXIF_EX: &[u8] = b"http://cipa.jp/exif/1.0/";
const AUX: &[u8] = b"http://ns.adobe.com/exif/1.0/aux/";
const IPTC: &[u8] = b"http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/";
const IPTC_EXT: &[u8] = b"http://iptc.org/std/Iptc4xmpExt/2008-02-29/";
const PLUS: &[u8] = b"http://ns.useplus.org/ldf/xmp/1.0/";
const XML: &[u8] = b"http://www.w3.org/XML/1998/namespace";

/// What may hold no places but by the names listed below.
const KNOWN: [&[u8]; 12] = [
    DC, XMP, RIGHTS, MM, PHOTOSHOP, TIFF, EXIF, EXIF_EX, AUX, IPTC, IPTC_EXT, PLUS,
];
/// Where the structures of histories and references have their names.
const STRUCTURES: &[u8] = b"http://ns.adobe.com/xap/1.0/sType/";

/// EXIF's own properties (XMP specification, part 2, and the fields of its structures) but for places:
/// what is not among them could be one.
const EXIF_NAMES: &str = "ExifVersion FlashpixVersion ColorSpace ComponentsConfiguration \
    CompressedBitsPerPixel PixelXDimension PixelYDimension UserComment RelatedSoundFile DateTimeOriginal \
    DateTimeDigitized ExposureTime FNumber ExposureProgram SpectralSensitivity ISOSpeedRatings OECF \
    ShutterSpeedValue ApertureValue BrightnessValue ExposureBiasValue MaxApertureValue SubjectDistance \
    MeteringMode LightSource Flash FocalLength SubjectArea FlashEnergy SpatialFrequencyResponse \
    FocalPlaneXResolution FocalPlaneYResolution FocalPlaneResolutionUnit SubjectLocation ExposureIndex \
    SensingMethod FileSource SceneType CFAPattern CustomRendered ExposureMode WhiteBalance DigitalZoomRatio \
    FocalLengthIn35mmFilm SceneCaptureType GainControl Contrast Saturation Sharpness \
    DeviceSettingDescription SubjectDistanceRange ImageUniqueID Fired Return Mode Function RedEyeMode \
    Columns Rows Names Values Settings";

/// The deepest nesting that is followed; honest packets have about ten.
const MAX_DEPTH: usize = 64;

/// The part of the packet `xmp` that `rule` keeps; none where nothing is left. `turned` says that the
/// orientation was applied. Fails in words where this is no XMP.
pub(crate) fn kept(
    rule: MetadataRule,
    xmp: &[u8],
    turned: bool,
) -> Result<Option<Vec<u8>>, String> {
    if rule == MetadataRule::None {
        return Ok(None);
    }
    let text = std::str::from_utf8(xmp).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.trim_start_matches('\u{FEFF}').trim_matches('\0');
    let mut filter = Filter {
        rule,
        turned,
        out: Writer::new(Vec::new()),
        kept: 0,
        open: Vec::new(),
    };
    filter.read(text)?;
    Ok((filter.kept > 0).then(|| filter.out.into_inner()))
}

/// A packet that says who made a picture, whose it is and whom to thank; none where all is empty.
pub(crate) fn of_rights(creators: &[String], rights: &str, credit: &str) -> Option<Vec<u8>> {
    use quick_xml::escape::escape;
    let mut properties = Vec::new();
    if !creators.is_empty() {
        let items = creators
            .iter()
            .map(|name| format!("<rdf:li>{}</rdf:li>", escape(name)));
        let items: String = items.collect();
        properties.push(format!(
            "<dc:creator><rdf:Seq>{items}</rdf:Seq></dc:creator>"
        ));
    }
    if !rights.is_empty() {
        properties.push(format!(
            "<dc:rights><rdf:Alt><rdf:li xml:lang=\"x-default\">{}</rdf:li></rdf:Alt></dc:rights>",
            escape(rights)
        ));
    }
    if !credit.is_empty() {
        properties.push(format!(
            "<photoshop:Credit>{}</photoshop:Credit>",
            escape(credit)
        ));
    }
    let properties = properties.concat();
    (!properties.is_empty()).then(|| {
        format!(
            "<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
             <rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\">\
             <rdf:Description rdf:about=\"\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
             xmlns:photoshop=\"http://ns.adobe.com/photoshop/1.0/\">\
             {properties}</rdf:Description></rdf:RDF></x:xmpmeta>"
        )
        .into_bytes()
    })
}

/// What an open element is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `x:xmpmeta` or `rdf:RDF`: holds descriptions.
    Frame,
    /// An `rdf:Description` right in the frame: holds properties.
    Description,
    /// A property that passes, or something within one.
    Property,
    /// Does not pass, and nothing in it does.
    Dropped,
}

struct Filter {
    rule: MetadataRule,
    turned: bool,
    out: Writer<Vec<u8>>,
    /// Properties that passed.
    kept: usize,
    open: Vec<Kind>,
}

impl Filter {
    fn read(&mut self, text: &str) -> Result<(), String> {
        let mut reader = NsReader::from_str(text);
        loop {
            let event = reader
                .read_event()
                .map_err(|error| format!("it is no XML: {error}"))?;
            match &event {
                Event::Start(start) => {
                    let kind = self.kind_of(&reader, start);
                    if self.open.len() == MAX_DEPTH {
                        return Err("it is nested too deep".to_owned());
                    }
                    if let Some(start) = self.passing(&reader, start, kind)? {
                        self.write(Event::Start(start))?;
                    }
                    self.open.push(kind);
                }
                Event::Empty(start) => {
                    let kind = self.kind_of(&reader, start);
                    if let Some(start) = self.passing(&reader, start, kind)? {
                        self.write(Event::Empty(start))?;
                    }
                }
                Event::End(_) => {
                    let kind = self.open.pop().ok_or("an element ends that never began")?;
                    if kind != Kind::Dropped {
                        self.write(event)?;
                    }
                }
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    if self.open.last() == Some(&Kind::Property) {
                        self.write(event)?;
                    }
                }
                Event::DocType(_) => return Err("it defines entities".to_owned()),
                Event::Eof if self.open.is_empty() => return Ok(()),
                Event::Eof => return Err("it ends early".to_owned()),
                // The packet's wrapper with its padding, and comments.
                Event::PI(_) | Event::Decl(_) | Event::Comment(_) => {}
            }
        }
    }

    fn write(&mut self, event: Event<'_>) -> Result<(), String> {
        let written = self.out.write_event(event);
        written.map_err(|error| format!("it can't be written: {error}"))
    }

    fn kind_of(&self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Kind {
        let (resolved, local) = reader.resolver().resolve_element(start.name());
        let (space, local) = (bound(&resolved), local.as_ref());
        match self.open.last() {
            None | Some(Kind::Frame) => match (space, local) {
                (META, b"xmpmeta") | (RDF, b"RDF") => Kind::Frame,
                (RDF, b"Description") => Kind::Description,
                _ => Kind::Dropped,
            },
            Some(Kind::Description) if self.passes(space, local) => Kind::Property,
            // RDF's own lists and structures, and their fields.
            Some(Kind::Property) if space == RDF || self.passes_within(space, local) => {
                Kind::Property
            }
            _ => Kind::Dropped,
        }
    }

    /// The element with those of its attributes that pass; none if it does not pass itself.
    fn passing(
        &mut self,
        reader: &NsReader<&[u8]>,
        start: &BytesStart<'_>,
        kind: Kind,
    ) -> Result<Option<BytesStart<'static>>, String> {
        if kind == Kind::Dropped {
            return Ok(None);
        }
        if kind == Kind::Property && self.open.last() == Some(&Kind::Description) {
            self.kept += 1;
        }
        let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
        let mut passing = BytesStart::new(name);
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| format!("it is no XML: {error}"))?;
            let (resolved, local) = reader.resolver().resolve_attribute(attribute.key);
            let (space, local) = (bound(&resolved), local.as_ref());
            let declares = attribute.key.as_namespace_binding().is_some();
            let passes = declares
                || match kind {
                    Kind::Frame => space == META && local == b"xmptk",
                    Kind::Description => {
                        let property = self.passes(space, local);
                        self.kept += usize::from(property);
                        property || space == RDF || space == XML
                    }
                    Kind::Property => {
                        space == RDF || space == XML || self.passes_within(space, local)
                    }
                    Kind::Dropped => false,
                };
            if passes {
                passing.push_attribute(attribute);
            }
        }
        Ok(Some(passing))
    }

    /// Whether the property passes.
    fn passes(&self, space: &[u8], local: &[u8]) -> bool {
        if space == RDF || space.is_empty() || !self.passes_within(space, local) {
            return false;
        }
        match self.rule {
            MetadataRule::None => false,
            MetadataRule::Keep => true,
            MetadataRule::NoLocation => KNOWN.contains(&space),
            MetadataRule::Copyright => match space {
                DC => matches!(local, b"creator" | b"rights"),
                PHOTOSHOP => local == b"Credit",
                RIGHTS => true,
                PLUS => matches!(
                    local,
                    b"CopyrightOwner" | b"ImageCreator" | b"ImageSupplier" | b"Licensor"
                ),
                _ => false,
            },
        }
    }

    /// What holds at every depth: nothing that is no longer true, and no places where they must not
    /// get out.
    fn passes_within(&self, space: &[u8], local: &[u8]) -> bool {
        let outdated = match space {
            TIFF => match local {
                b"Orientation" => self.turned,
                b"ImageWidth" | b"ImageLength" => true,
                _ => false,
            },
            EXIF => matches!(local, b"PixelXDimension" | b"PixelYDimension"),
            // Small pictures; the part of a packet that did not fit into a JPEG's segment.
            XMP => local == b"Thumbnails",
            NOTE => local == b"HasExtendedXMP",
            // Gain maps, depth maps and films that lay beside the picture.
            _ => {
                space.starts_with(b"http://ns.google.com/photos/")
                    || space.starts_with(b"http://ns.adobe.com/hdr-gain-map/")
            }
        };
        let place = match space {
            EXIF => !EXIF_NAMES.split(' ').any(|name| name.as_bytes() == local),
            PHOTOSHOP => matches!(local, b"City" | b"State" | b"Country"),
            DC => local == b"coverage",
            MM => matches!(local, b"Pantry" | b"Ingredients"),
            IPTC => matches!(local, b"Location" | b"CountryCode"),
            IPTC_EXT => {
                local.starts_with(b"Location")
                    || matches!(
                        local,
                        b"City"
                            | b"Sublocation"
                            | b"ProvinceState"
                            | b"CountryName"
                            | b"CountryCode"
                            | b"WorldRegion"
                    )
            }
            _ => false,
        };
        // A field of a structure can have any name; GPS in it gives itself away.
        let place = place
            || local
                .windows(3)
                .any(|part| part.eq_ignore_ascii_case(b"GPS"));
        let known = KNOWN.contains(&space) || space.starts_with(STRUCTURES);
        !outdated && (self.rule == MetadataRule::Keep || (known && !place))
    }
}

fn bound<'a>(resolved: &'a ResolveResult<'_>) -> &'a [u8] {
    match resolved {
        ResolveResult::Bound(space) => space.into_inner(),
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKET: &str = r#"<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Test"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
 <rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
   xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:odd="http://example.com/odd/"
   exif:GPSLatitude="48,12.5N" tiff:Orientation="6" tiff:Model="Box" photoshop:City="Atlantis" photoshop:Credit="Ada's agency" odd:where="48.2083">
  <exif:GPSLongitude>16,22.5E</exif:GPSLongitude>
  <dc:creator><rdf:Seq><rdf:li>Ada &amp; Co</rdf:li></rdf:Seq></dc:creator>
  <dc:rights><rdf:Alt><rdf:li xml:lang="x-default">(c) Ada</rdf:li></rdf:Alt></dc:rights>
  <dc:title><rdf:Alt><rdf:li xml:lang="x-default">A mill</rdf:li></rdf:Alt></dc:title>
  <xmpMM:History><rdf:Seq><rdf:li rdf:parseType="Resource"><exif:GPSAltitude>171/1</exif:GPSAltitude><odd:where>48.2084</odd:where></rdf:li></rdf:Seq></xmpMM:History>
  <xmpMM:Pantry><rdf:Bag><rdf:li>16.3738</rdf:li></rdf:Bag></xmpMM:Pantry>
  <odd:place>48.2085</odd:place><!-- 48.2086 -->
 </rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"#;

    fn by(rule: MetadataRule) -> String {
        let kept = kept(rule, PACKET.as_bytes(), true).unwrap();
        String::from_utf8(kept.unwrap_or_default()).unwrap()
    }

    #[test]
    fn keeping_all_keeps_places_and_drops_what_is_no_longer_true() {
        let all = by(MetadataRule::Keep);
        for word in [
            "48,12.5N", "16,22.5E", "48.2083", "Atlantis", "A mill", "Box",
        ] {
            assert!(all.contains(word), "{word} in {all}");
        }
        assert!(!all.contains("Orientation"), "{all}");
        let unturned = kept(MetadataRule::Keep, PACKET.as_bytes(), false).unwrap();
        let unturned = String::from_utf8(unturned.unwrap()).unwrap();
        assert!(unturned.contains("Orientation"));
    }

    #[test]
    fn without_places_no_place_is_left_at_any_depth_and_nothing_unknown() {
        let kept = by(MetadataRule::NoLocation);
        for word in ["GPS", "48", "16", "171", "Atlantis", "odd:"] {
            // The namespace is still declared, which says nothing.
            let kept = kept.replace("xmlns:odd=", "");
            assert!(!kept.contains(word), "{word} in {kept}");
        }
        for word in ["A mill", "Box", "Ada &amp; Co", "(c) Ada", "Ada's agency"] {
            assert!(kept.contains(word), "{word} in {kept}");
        }
    }

    #[test]
    fn of_rights_alone_the_creator_the_rights_and_the_credit_are_left() {
        let kept = by(MetadataRule::Copyright);
        for word in ["Ada &amp; Co", "(c) Ada", "Ada's agency"] {
            assert!(kept.contains(word), "{word} in {kept}");
        }
        for word in ["A mill", "Box", "GPS", "Atlantis", "48.2"] {
            assert!(!kept.contains(word), "{word} in {kept}");
        }
        assert_eq!(by(MetadataRule::None), "");
    }

    #[test]
    fn a_packet_without_anything_to_keep_is_no_packet_and_nonsense_is_refused() {
        let empty = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description rdf:about=''/></rdf:RDF></x:xmpmeta>";
        assert_eq!(kept(MetadataRule::Keep, empty.as_bytes(), true), Ok(None));
        for nonsense in [
            "<x:xmpmeta>",
            "<a></b>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>",
            "\u{1}<<<",
        ] {
            assert!(
                kept(MetadataRule::Keep, nonsense.as_bytes(), true).is_err(),
                "{nonsense}"
            );
        }
        assert!(kept(MetadataRule::Keep, &[0xFF, 0xFE, 0], true).is_err());
        let deep = "<a>".repeat(1000) + &"</a>".repeat(1000);
        assert!(kept(MetadataRule::Keep, deep.as_bytes(), true).is_err());
    }

    #[test]
    fn what_is_written_is_read_again_and_stays_the_same() {
        let made = of_rights(&["Ada <&> Co".to_owned()], "(c) \"Ada\"", "Agency").unwrap();
        let again = kept(MetadataRule::Copyright, &made, true).unwrap().unwrap();
        assert_eq!(
            String::from_utf8(again).unwrap(),
            String::from_utf8(made).unwrap()
        );
        assert_eq!(of_rights(&[], "", ""), None);
    }

    proptest! {
        /// Whatever is done to a packet: no panic, and no place gets out.
        #[test]
        fn spoiled_packets_neither_panic_nor_leak(
            cut in 0..PACKET.len(),
            at in 0..PACKET.len(),
            with in "[<>/&;'\" a-z:=]{0,8}",
        ) {
            let mut text = PACKET.to_owned();
            text.insert_str(at, &with);
            for text in [&text[..], &text[..cut]] {
                for rule in [MetadataRule::Copyright, MetadataRule::NoLocation] {
                    if let Ok(Some(kept)) = kept(rule, text.as_bytes(), true) {
                        let kept = String::from_utf8(kept).unwrap();
                        prop_assert!(!kept.contains("48,12.5N") && !kept.contains("16,22.5E"), "{}", kept);
                    }
                }
            }
        }
    }
}
