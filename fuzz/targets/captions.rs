//! Any bytes as a caption file of each layout: no panic, and every row has its parts.

use std::io::Write;

use clipmill::base::Cancel;
use clipmill::plan::source::{Caps, CaptionFormat, CaptionSource, IdRule};
use clipmill::sources::captions;

/// One run of the fuzzer.
pub fn run(data: &[u8]) {
    let csv = |delimiter: &str, quoted| CaptionFormat::Csv {
        delimiter: delimiter.into(),
        image: "a".into(),
        text: "b".into(),
        index: None,
        split: None,
        quoted,
    };
    let formats = [
        CaptionFormat::Flickr,
        csv(",", true),
        csv("| ", false),
        CaptionFormat::Coco,
        CaptionFormat::Karpathy,
        CaptionFormat::WebDatasetText,
        CaptionFormat::WebDatasetJson { field: "caption".into() },
    ];
    let Ok(mut file) = tempfile::NamedTempFile::new() else { return };
    if file.write_all(data).and_then(|()| file.flush()).is_err() {
        return;
    }
    for format in formats {
        let source = CaptionSource {
            name: "fuzz".into(),
            paths: vec![file.path().to_path_buf()],
            member: None,
            format,
            id: IdRule::Stem,
            caps: Caps {
                line_bytes: 4096,
                unpacked_bytes: 1 << 20,
                members: 1000,
                ..Caps::default()
            },
        };
        if let Ok(read) = captions::read(&source, &Cancel::new()) {
            for caption in read.captions {
                assert!(!caption.image_id.trim().is_empty() && !caption.text.trim().is_empty());
                assert!(caption.text.len() <= 4096 && caption.caption_index >= 0);
            }
        }
    }
}
