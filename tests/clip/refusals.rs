//! What is no CLIP, or no data, is refused by name; and damaged files never panic.

use clipmill::base::Kind;
use clipmill::embed::{ImageEncoder, TextEncoder};
use clipmill::nn::weights::Weights;
use clipmill::plan::model::ModelFiles;
use safetensors::tensor::{Dtype, TensorView};

use super::spec;

#[path = "../../fuzz/targets/weights.rs"]
#[allow(unreachable_pub, reason = "the fuzz package calls it from outside")]
mod target;

/// A legacy file whose object is `pickle`.
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut bytes =
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}."
            .to_vec();
    bytes.extend(pickle);
    bytes.extend(b"\x80\x02].");
    bytes
}

#[test]
fn a_pickle_that_would_run_something_is_refused_by_name() {
    for (pickle, name) in [
        (&b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."[..], "posix.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", "builtins.eval"),
        (b"(S'id'\nios\nsystem\n.", "os.system"),
        (b"\x80\x02ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n.", "numpy.core.multiarray._reconstruct"),
    ] {
        let error = Weights::from_bytes(&legacy(pickle)).unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        if name == "os.system" {
            // INST reads its two names from its own lines.
            assert!(error.to_string().contains("names"), "{error}");
        } else {
            assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
        }
        assert!(error.help_text().unwrap().contains("ever executed"));
    }
    assert_eq!(Weights::from_bytes(&legacy(b"\x80\x02}.")).unwrap().names().count(), 0);
}

/// A list of so many times `item`, which later bytes recall as `0`; `1` is a pair.
fn long_list(item: &[u8], count: usize) -> Vec<u8> {
    [b"\x80\x02NN\x86q\x010]q\x00(", item.repeat(count).as_slice(), b"e0"].concat()
}

#[test]
fn a_pickle_that_asks_for_much_by_few_bytes_is_refused() {
    let calls = |global: &str, args: &[u8], count: usize| {
        let call = [format!("c{global}\n").as_bytes(), args, b"R0"].concat();
        let list = long_list(b"h\x01", 100_000);
        Weights::from_bytes(&legacy(&[list, call.repeat(count), b"}.".to_vec()].concat()))
    };
    for global in ["builtins\nlist", "torch\nSize", "collections\nOrderedDict"] {
        assert!(calls(global, b"h\x00\x85", 1).is_ok(), "{global}");
        let error = calls(global, b"h\x00\x85", 100).unwrap_err();
        assert_eq!(error.kind(), Kind::BadInput);
        assert!(error.to_string().contains("more than 8000000 values"), "{global}: {error}");
    }
    // What a call hands back is not there twice.
    assert!(calls("torch.jit._pickle\nrestore_type_tag", b"h\x00N\x86", 1000).is_ok());
    // A tensor has few dimensions.
    let call = b"ctorch._utils\n_rebuild_tensor_v2\n(NK\x00h\x00h\x00tR0}.";
    let shape = legacy(&[&long_list(b"K\x01", 1000)[..], call].concat());
    let error = Weights::from_bytes(&shape).unwrap_err().to_string();
    assert!(error.contains("a tensor out of odd parts"), "{error}");
}

#[test]
fn names_that_are_long_and_many_are_refused() {
    let of = |key_bytes: u32, items: usize| {
        let key = vec![b'k'; key_bytes as usize];
        let list = long_list(b"N", items);
        let root = [&list, &b"}X"[..], &key_bytes.to_le_bytes(), &key, b"h\x00s."].concat();
        Weights::from_bytes(&legacy(&root))
    };
    assert!(of(100, 100_000).is_ok());
    let error = of(100_000, 5000).unwrap_err();
    assert_eq!(error.kind(), Kind::BadInput);
    assert!(error.to_string().contains("too widely"), "{error}");
}

fn refused(names: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("open_clip_model.safetensors");
    let numbers = [0_u8; 4];
    let view = || TensorView::new(Dtype::F32, vec![1], &numbers).unwrap();
    let bytes = safetensors::serialize(names.iter().map(|n| (*n, view())), None).unwrap();
    clipmill::base::files::write_atomic(&path, |w| {
        std::io::Write::write_all(w, &bytes).unwrap();
        Ok(())
    })
    .unwrap();
    let files = ModelFiles::OpenClip { weights: path, config: None, tokenizer: None };
    ImageEncoder::load(&spec(files)).unwrap_err().to_string()
}

#[test]
fn other_towers_are_refused_with_what_they_are() {
    assert!(refused(&["visual.layer1.0.conv1.weight"]).contains("ResNet"));
    assert!(refused(&["visual.trunk.blocks.0.norm1.weight"]).contains("SigLIP"));
    assert!(refused(&["text.transformer.embeddings.word_embeddings.weight"]).contains("BERT"));
    assert!(refused(&["something"]).contains("`visual.conv1.weight` is missing"));
}

#[test]
fn every_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = ModelFiles::HuggingFace { folder: folder.path().to_owned() };
    let error = ImageEncoder::load(&spec(files)).unwrap_err();
    assert_eq!(error.kind(), Kind::MissingInput);
    let help = error.help_text().unwrap();
    assert!(help.contains("config.json") && help.contains("model.safetensors"), "{help}");
}

#[test]
fn images_alone_need_no_tokenizer_as_their_plan_says() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/clip");
    let folder = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        std::fs::copy(golden.join("hf_quick").join(name), folder.path().join(name)).unwrap();
    }
    let model = spec(ModelFiles::HuggingFace { folder: folder.path().to_owned() });
    assert!(model.files.inventory(false).absent.is_empty());
    ImageEncoder::load(&model).unwrap();
    let error = TextEncoder::load(&model).unwrap_err();
    assert_eq!(error.kind(), Kind::MissingInput);
    assert!(error.to_string().contains("tokenizer"), "{error}");
}

#[test]
fn damaged_files_are_errors_or_tensors_never_panics() {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/clip");
    for file in [
        "hf_gelu_bin/pytorch_model.bin",
        "hf_eos_2_legacy/pytorch_model.bin",
        "hf_quick/model.safetensors",
        "openai/ViT.pt",
    ] {
        let whole = clipmill::base::files::read_capped(&golden.join(file), 1 << 20).unwrap();
        let mut state = 1_u32;
        let mut next = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(state >> 8).unwrap() % below
        };
        for round in 0..150 {
            let mut bytes = whole.clone();
            match round % 3 {
                0 => bytes.truncate(next(whole.len())),
                // The ends are where the structure is.
                1 => (0..8).for_each(|_| bytes[next(12_000)] ^= 1 << next(8)),
                _ => (0..8).for_each(|_| {
                    let at = whole.len() - 1 - next(8_000);
                    bytes[at] = u8::try_from(next(256)).unwrap();
                }),
            }
            target::run(&bytes);
        }
    }
}
