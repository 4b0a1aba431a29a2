#![allow(clippy::unwrap_used, reason = "tests may")]
use super::*;

fn subject() -> SubjectId {
    SubjectId(uuid::Uuid::from_u128(7))
}

#[test]
fn a_clear_value_is_never_written_outside_the_sealer() {
    let text = Text::new(subject(), "Ada".to_owned());
    assert!(serde_json::to_string(&text).unwrap_err().to_string().contains("in clear"));
    assert!(!format!("{text:?}").contains("Ada"));
    assert!(!format!("{:?}", vec![Some(text)]).contains("Ada"));
}

#[test]
fn the_sealer_gets_every_value_however_deep_it_lies() {
    let data = vec![
        Some(vec![Text::new(subject(), "a".to_owned())]),
        None,
        Some(vec![Text::new(subject(), "b".to_owned())]),
    ];
    let (json, found) = collect(|| serde_json::to_string(&data).unwrap());
    assert_eq!(json, r#"[[{"$sealed":0}],null,[{"$sealed":1}]]"#);
    let plain: Vec<_> =
        found.iter().map(|p| String::from_utf8_lossy(&p.json).into_owned()).collect();
    assert_eq!(plain, [r#""a""#, r#""b""#]);
}

#[test]
fn without_a_subject_or_inside_another_it_fails_closed() {
    let (result, _) = collect(|| serde_json::to_string(&Text::from("a".to_owned())));
    assert!(result.unwrap_err().to_string().contains("no subject"));
    let nested = Personal::new(subject(), vec![Text::new(subject(), "a".to_owned())]);
    let (result, _) = collect(|| serde_json::to_string(&nested));
    assert!(result.is_err());
}

#[test]
fn a_reference_without_its_ciphertext_is_an_error() {
    assert!(serde_json::from_str::<Text>(r#"{"$sealed":0}"#).is_err());
    let wrong = serde_json::from_str::<Text>(r#"{"name":"Ada"}"#).unwrap_err().to_string();
    assert!(!wrong.contains("Ada"), "{wrong}");
}
