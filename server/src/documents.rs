//! Pages of `docs/` that are generated from declarations in the code, committed, and compared.

use std::fmt::Write as _;
use std::path::Path;

use commands::{AnyCommand, Sender, Stream, When, WhenFenced};
use domain::{Event, Reach};

/// The line below which a page is generated; above it the page is written by hand.
const GENERATED: &str =
    "<!-- From here on this page is made from the code by `make contracts`. -->";

/// The text of a declaration as one line.
fn sentence(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `docs/refusals.md`: every refusal as its caller reads it, with sample arguments.
pub(crate) fn refusals() -> String {
    let mut page = "# Refusals\n\n\
        Every rule that says no, as its caller reads it (422, the name in the problem's `type`), \
        with sample arguments.\n\
        A refused command writes nothing, and its idempotency key may be used again: the rule is \
        asked again.\n\n\
        | name | sentence |\n|---|---|\n"
        .to_owned();
    page.insert_str(0, &format!("{GENERATED}\n\n"));
    for refusal in commands::Refusal::samples() {
        let sentence = refusal.to_string().replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {sentence} |", refusal.name());
    }
    page
}

/// `docs/permissions.md`: who may send which command.
pub(crate) fn permissions() -> String {
    let mut page = "# Permissions\n\n\
        Who may send which command: whom a column does not name is refused (403, or 404 where they \
        may not know that\n\
        the business exists). A rule of the command may refuse more: what belongs to another team \
        or another person is\n\
        said by the refusal. *Importer* is an import at work inside the program; no key gives it. \
        *Suspended* and\n\
        *retired* say whether a command is taken from an agent in that state, *wound up* whether \
        it is taken after a\n\
        business has ended, *forgotten* whether it is taken (its text withheld) where that is \
        about somebody who\n\
        is forgotten. Made from the declarations in `commands/` by `make contracts`.\n\n"
        .to_owned();
    let senders = Sender::ALL
        .iter()
        .map(|s| format!("{s:?}").to_lowercase().replace("anyhuman", "any human"));
    let head: Vec<String> = ["command".to_owned()]
        .into_iter()
        .chain(senders)
        .chain(["importer", "suspended", "retired", "wound up", "forgotten"].map(str::to_owned))
        .collect();
    let _ = writeln!(page, "| {} |\n|{}", head.join(" | "), "---|".repeat(head.len()));
    for command in AnyCommand::types() {
        let mark = |yes: bool| if yes { "yes" } else { "" };
        let senders = Sender::ALL.iter().map(|s| mark(command.from.contains(s)));
        let states = [command.when_suspended, command.when_retired, command.after_end]
            .map(|w| mark(w == When::Allowed));
        let cells: Vec<&str> = senders
            .chain([mark(command.historic)])
            .chain(states)
            .chain([mark(command.when_fenced == WhenFenced::Withheld)])
            .collect();
        let above = if command.stream == Stream::Installation { " (installation)" } else { "" };
        let _ = writeln!(page, "| `{}`{above} | {} |", command.name, cells.join(" | "));
    }
    page
}

/// `docs/public-events.md`: its hand-written text, then the generated table of events.
pub(crate) fn public_events(root: &Path) -> String {
    let committed = std::fs::read_to_string(root.join("docs/public-events.md")).unwrap_or_default();
    let by_hand = committed.split(GENERATED).next().unwrap_or_default().trim_end();
    let mut page =
        format!("{by_hand}\n\n{GENERATED}\n\n| event | public | what it says |\n|---|---|---|\n");
    let mut events: Vec<_> = Event::types().collect();
    events.sort_by_key(|e| e.name);
    for event in events {
        let reach = match event.reach {
            Reach::Public => "public",
            Reach::Private => "private",
        };
        let _ = writeln!(page, "| `{}` | {reach} | {} |", event.name, sentence(event.sentence));
    }
    page
}
