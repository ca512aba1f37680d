//! What Python's `tensorboard` reads of a training that was stopped and went on.

use std::process::Command;

use clipmill::base::environment::Environment;
use clipmill::train::journal;

use crate::lesson::{StopAfter, Tiny, course, train};

const READ: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
events.Reload()
tags = events.Tags()
scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags["scalars"]}
texts = {tag: [[e.step, e.tensor_proto.string_val[0].decode()] for e in events.Tensors(tag)] for tag in tags["tensors"]}
print(json.dumps({"scalars": scalars, "texts": texts}))
"#;

#[test]
fn tensorboard_reads_the_numbers_of_the_table() {
    let Some(python) = Environment::of_process().get("CLIPMILL_PYTHON").map(str::to_owned) else {
        eprintln!("left out: CLIPMILL_PYTHON names no Python with tensorboard");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut spoilt = Tiny::new();
    spoilt.spoil_after = Some(8);
    train(dir.path(), &mut spoilt, &course(), &StopAfter::new(u64::MAX)).unwrap_err();
    // As if the crash had cut a record short.
    let file = std::fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 5]).unwrap();
    let done = train(dir.path(), &mut Tiny::new(), &course(), &StopAfter::new(u64::MAX)).unwrap();
    assert!(done.finished && done.resumed_at == 6);

    let out =
        Command::new(python).args(["-c", READ]).arg(dir.path().join("runs")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let read: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let metrics = journal::read(&dir.path().join("kept")).unwrap();
    for name in ["loss", "validation_loss", "learning_rate", "gradient_norm", "tokens_per_second"] {
        let ours: Vec<(u64, f64)> =
            metrics.iter().filter(|m| m.name == name).map(|m| (m.step, m.value)).collect();
        let theirs: Vec<(u64, f64)> =
            serde_json::from_value(read["scalars"][name].clone()).unwrap();
        assert_eq!(ours, theirs, "{name}");
        assert_eq!(ours.len(), if name == "validation_loss" { 4 } else { 40 });
    }
    let texts = |tag: &str| -> Vec<(u64, String)> {
        serde_json::from_value(read["texts"][tag].clone()).unwrap()
    };
    assert_eq!(texts("captions").len(), 4);
    assert_eq!(texts("captions")[0], (10, "- **i4** a caption".to_owned()));
    assert_eq!(texts("definition"), [(0, "```toml\n[pipeline]\n```".to_owned())]);
}
