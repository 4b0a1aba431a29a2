//! The commands that destroy the key of a person or of a name: who may send them, and how often.

use domain::ids::{ErasureId, INSTALLATION};
use domain::personal::Generation;
use domain::{BusinessId, SubjectId};
use serde_json::json;

use crate::story::{Story, actor, id};

#[test]
fn a_person_is_forgotten_once_for_each_generation_of_keys() {
    let who = id(7);
    let erasure = ErasureId::of(crate::story::BUSINESS, SubjectId(who)).0;
    let story = Story::new();
    assert_eq!(
        story.when("privacy.forget_subject", erasure, json!({"subject": who})),
        Err("nothing_to_forget"),
        "no key was ever made"
    );
    assert_eq!(
        story.when("privacy.forget_subject", erasure, json!({"subject": who, "generation": 3})),
        Err("out_of_range"),
        "a caller names no generation"
    );
    let own = ErasureId::of(crate::story::BUSINESS, crate::story::BUSINESS.as_subject()).0;
    assert_eq!(
        story.when("privacy.forget_subject", own, json!({"subject": crate::story::BUSINESS})),
        Err("forget_business_instead")
    );
    let known = story.with_keys(Generation(1));
    assert_eq!(
        known.when("privacy.forget_subject", erasure, json!({"subject": who})),
        Ok(vec!["privacy.subject_forgotten"])
    );
    let forgotten = known.given("privacy.forget_subject", erasure, json!({"subject": who}));
    assert_eq!(
        forgotten.when("privacy.forget_subject", erasure, json!({"subject": who})),
        Ok(vec![])
    );
    assert_eq!(
        forgotten.with_keys(Generation(2)).when(
            "privacy.forget_subject",
            erasure,
            json!({"subject": who})
        ),
        Ok(vec!["privacy.subject_forgotten"])
    );
}

#[test]
fn a_name_is_forgotten_by_the_owner_of_the_only_business_where_it_has_a_role() {
    use domain::access::PrincipalKind::Human;
    use domain::values::Role::{Member, Owner};
    let member = actor(20, Human, &[Member]);
    let target = ErasureId::of(INSTALLATION, SubjectId(id(20))).0;
    let mut story = Story::new().by(actor(1, Human, &[Owner])).with_keys(Generation(1));
    story.know(&member);
    let forget = json!({"principal": id(20)});
    assert_eq!(
        story.when_installation("privacy.forget_name", target, forget.clone()),
        Ok(vec!["privacy.subject_forgotten"])
    );
    assert_eq!(
        story.clone().by(actor(21, Human, &[Member])).when_installation(
            "privacy.forget_name",
            target,
            forget.clone()
        ),
        Err("not_yours")
    );
    let both = story.clone().also_in(20, BusinessId(id(99)));
    assert_eq!(
        both.when_installation("privacy.forget_name", target, forget),
        Err("not_yours"),
        "two businesses know that name"
    );
}
