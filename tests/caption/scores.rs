//! Metrics beside `pycocoevalcap`, on invented captions.

use clipmill::caption::metrics::{Case, Scores, Tokenizer, evaluate};
use serde_json::Value;

use crate::{floats, json};

pub(crate) fn cases(of: &Value) -> Vec<Case> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let case = |(number, case): (usize, &Value)| Case {
        image_id: format!("{number}.jpg"),
        candidate: text(&case["candidate"]),
        references: case["references"].as_array().unwrap().iter().map(text).collect(),
    };
    of.as_array().unwrap().iter().enumerate().map(case).collect()
}

/// Compares with `{"corpus": [...], "per_image": [[...]]}`, to 1e-6.
pub(crate) fn compare(scores: &Scores, expected: &Value) {
    let close = |ours: [(&str, f64); 6], theirs: &Value, place: &str| {
        for ((name, ours), theirs) in ours.into_iter().zip(floats(theirs)) {
            assert!((ours - theirs).abs() < 1e-6, "{place}: {name} is {ours}, expected {theirs}");
        }
    };
    close(scores.corpus.named(), &expected["corpus"], "corpus");
    if let Some(per_image) = expected.get("per_image") {
        let per_image = per_image.as_array().unwrap();
        assert_eq!(scores.per_image.len(), per_image.len());
        for (ours, theirs) in scores.per_image.iter().zip(per_image) {
            close(ours.score.named(), theirs, &ours.image_id);
        }
    }
}

#[test]
fn invented_captions_score_as_in_the_reference() {
    let golden = json("scores/cases.json");
    let scores = evaluate(&cases(&golden["cases"]), Tokenizer::Ptb).unwrap();
    assert_eq!(scores.per_image.len(), 40);
    compare(&scores, &golden);
}

#[test]
fn chinese_scores_by_character_and_by_word() {
    let case = |candidate: &str| Case {
        image_id: "1".into(),
        candidate: candidate.into(),
        references: vec!["一个男人在弹吉他".into(), "男人弹着吉他".into()],
    };
    let of =
        |text: &str, tokenizer| evaluate(&[case(text)], tokenizer).unwrap().per_image[0].score.bleu;
    for tokenizer in [Tokenizer::Characters, Tokenizer::Jieba] {
        assert!((of("一个 男人 在 弹 吉他", tokenizer)[0] - 1.0).abs() < 1e-6);
    }
    // 吉 and 他 are right one by one, but 他在 is none of the words.
    let apart = "他在弹一个吉男人";
    let (characters, words) = (of(apart, Tokenizer::Characters), of(apart, Tokenizer::Jieba));
    assert!((characters[0] - 1.0).abs() < 1e-6, "{characters:?}");
    assert!(words[0] < 0.9, "{words:?}");
}

/// Words and scores of `tests/golden/chinese.py`: Python's jieba, and `pycocoevalcap` over its words.
#[test]
fn chinese_scores_are_those_of_the_reference_over_the_same_words() {
    let golden = json("chinese/chinese.json");
    let cases = cases(&golden["cases"]);
    assert_eq!(cases.len(), 8);
    for tokenizer in [Tokenizer::Characters, Tokenizer::Jieba] {
        let expected = &golden[tokenizer.name()];
        let words = expected["words"].as_array().unwrap();
        for (case, words) in cases.iter().zip(words) {
            let texts = [&case.candidate].into_iter().chain(&case.references);
            let ours: Vec<Vec<String>> = texts.map(|text| tokenizer.tokenize(text)).collect();
            let theirs: Vec<Vec<String>> = serde_json::from_value(words.clone()).unwrap();
            assert_eq!(ours, theirs, "{}", tokenizer.name());
        }
        compare(&evaluate(&cases, tokenizer).unwrap(), expected);
    }
}
