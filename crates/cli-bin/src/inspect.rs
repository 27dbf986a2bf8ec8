//! `inspect`: what a picture is, and what the recipe would make of it.

use std::io::{self, Write};

use bytesize::ByteSize;
use pixmill::image::ColorModel;
use pixmill::render::{admissible, outline, predict, probe};
use serde_json::json;

use crate::args::Inspect;
use crate::run::{Ended, read_one};

/// `pixmill inspect`
pub(crate) fn inspect(args: &Inspect) -> anyhow::Result<Ended> {
    let recipe = args.choice.load()?;
    let bytes = read_one(&args.file, recipe.limits.input_bytes)?;
    let info = match probe(&bytes) {
        Ok(info) => info,
        Err(error) => {
            eprintln!("{}: {error}", args.file.display());
            return Ok(Ended::WithTrouble);
        }
    };
    let refused = admissible(&info, &recipe).err();
    let memory = predict(&info, bytes.len() as u64, &recipe, 1).memory_bytes;
    let color = match info.color {
        ColorModel::Gray => "gray",
        ColorModel::Cmyk => "cmyk",
        _ => "rgb",
    };
    let sizes = outline(&info, &recipe);
    let mut out = io::stdout().lock();
    if args.json {
        let variants = recipe.variants.iter().zip(&sizes).map(|(variant, size)| match size {
            Ok((width, height)) => json!({
                "name": variant.name, "format": variant.format, "width": width, "height": height,
            }),
            Err(reason) => json!({"name": variant.name, "format": variant.format, "skipped": reason}),
        });
        let line = json!({
            "file": args.file.display().to_string(),
            "format": info.format,
            "bytes": bytes.len(),
            "stored_width": info.stored_width,
            "stored_height": info.stored_height,
            "width": info.width,
            "height": info.height,
            "orientation": info.orientation,
            "frames": info.frames,
            "alpha": info.alpha,
            "color": color,
            "bits": info.bits,
            "profile": info.profile,
            "metadata": info.has_metadata,
            "memory_bytes": memory,
            "refused": refused.as_ref().map(ToString::to_string),
            "variants": variants.collect::<Vec<_>>(),
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "{}", args.file.display())?;
        let size = ByteSize(bytes.len() as u64).display().iec();
        writeln!(out, "  format       {}, {size}", info.format)?;
        writeln!(
            out,
            "  size         {} x {} pixels as shown",
            info.width, info.height
        )?;
        writeln!(out, "  orientation  {} of 8", info.orientation)?;
        let alpha = if info.alpha { ", alpha" } else { "" };
        writeln!(
            out,
            "  color        {color}, {} bits a channel{alpha}",
            info.bits
        )?;
        writeln!(
            out,
            "  profile      {}",
            info.profile.as_deref().unwrap_or("none")
        )?;
        writeln!(out, "  frames       {}", info.frames)?;
        let metadata = if info.has_metadata { "yes" } else { "none" };
        writeln!(out, "  metadata     {metadata}")?;
        writeln!(
            out,
            "  memory       about {} to render",
            ByteSize(memory).display().iec()
        )?;
        for (variant, size) in recipe.variants.iter().zip(&sizes) {
            let name = &variant.name;
            match size {
                Ok((width, height)) => {
                    let format = variant.format.extension();
                    writeln!(out, "  -> {name:<12} {format:<4} {width} x {height}")?;
                }
                Err(reason) => writeln!(out, "  -> {name:<12} none: {reason}")?,
            }
        }
        if let Some(error) = &refused {
            writeln!(out, "  refused      {error}")?;
        }
    }
    Ok(if refused.is_some() {
        Ended::WithTrouble
    } else {
        Ended::Well
    })
}
