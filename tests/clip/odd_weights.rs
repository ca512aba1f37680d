//! Odd checkpoints of burn and tch-rs, against what PyTorch reads out of them
//! (`tests/golden/clip_odd_weights.py`).

use std::collections::BTreeMap;

use clipmill::base::environment::Environment;
use clipmill::nn::weights::Weights;
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    dtype: String,
    shape: Vec<usize>,
    first: Vec<String>,
    sum: String,
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * b.abs()
}

#[test]
fn odd_checkpoints_read_as_pytorch_reads_them() {
    let environment = Environment::of_process();
    let Some(data) = environment.get("CLIPMILL_TESTDATA") else {
        eprintln!("skipped: CLIPMILL_TESTDATA is not set");
        return;
    };
    let golden: BTreeMap<String, Option<BTreeMap<String, Row>>> =
        serde_json::from_str(include_str!("../golden/clip/odd_weights.json")).unwrap();
    let folder = std::path::Path::new(data).join("odd_weights");
    for (file, expected) in &golden {
        let read = Weights::open(&folder.join(file));
        let Some(expected) = expected else {
            let error = read.unwrap_err().to_string();
            assert!(error.contains("neither safetensors nor a file of PyTorch"), "{file}: {error}");
            continue;
        };
        let weights = read.unwrap_or_else(|error| panic!("{file}: {error}"));
        for (name, row) in expected {
            let tensor = weights.get(name).unwrap_or_else(|| panic!("{file} lacks {name}"));
            let element = match row.dtype.as_str() {
                "float32" => "f32",
                "float16" => "f16",
                "bfloat16" => "bf16",
                "int64" => "i64",
                other => panic!("{file}: {other}"),
            };
            assert_eq!(tensor.element().to_string(), element, "{file} {name}");
            assert_eq!(tensor.shape(), row.shape, "{file} {name}");
            let numbers = tensor.to_f32().unwrap();
            for (got, want) in numbers.iter().zip(&row.first) {
                let want: f64 = want.parse().unwrap();
                assert!(same((*got).into(), want), "{file} {name}: {got} {want}");
            }
            let sum: f64 =
                numbers.iter().zip(1_u32..).map(|(x, n)| f64::from(*x) * f64::from(n)).sum();
            assert!(same(sum, row.sum.parse().unwrap()), "{file} {name}: {sum} {}", row.sum);
        }
        // Containers beside the tensors hold none that PyTorch does not see.
        let seen: Vec<&str> = weights.names().collect();
        let unseen: Vec<_> = seen.iter().filter(|name| !expected.contains_key(**name)).collect();
        assert!(unseen.is_empty(), "{file}: {unseen:?}");
    }
    assert_eq!(golden.len(), 22, "files of the folder");
}
