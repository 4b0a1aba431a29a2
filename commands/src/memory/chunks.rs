//! A document in chunks: cut at headings and paragraphs, so that a hit shows what belongs together.

/// Bytes after which a chunk ends at the next empty line; beyond four times as many it ends at
/// any line.
const CHUNK_CHARS: usize = 1_500;
/// Most characters that a document may have.
const TEXT_CHARS_MAX: usize = 1_000_000;

/// The chunks of a markdown text; put together they are the text. `None` when it is empty or too
/// long.
pub(super) fn cut(text: &str) -> Option<Vec<&str>> {
    if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
        return None;
    }
    let (mut chunks, mut start) = (Vec::new(), 0);
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let long = at - start > CHUNK_CHARS;
        let cut = at > start
            && (line.starts_with('#')
                || (long && line.trim().is_empty())
                || at - start > 4 * CHUNK_CHARS);
        if cut {
            chunks.extend(text.get(start..at));
            start = at;
        }
        at += line.len();
    }
    chunks.extend(text.get(start..));
    Some(chunks)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may")]
mod tests {
    use super::cut;

    #[test]
    fn the_chunks_are_the_text_and_begin_at_headings() {
        let text = "intro\n# One\nbody\n\n## Two\nmore";
        let chunks = cut(text).unwrap();
        assert_eq!(chunks, ["intro\n", "# One\nbody\n\n", "## Two\nmore"]);
        let long = "word word word\n\n".repeat(500);
        let chunks = cut(&long).unwrap();
        assert!(chunks.len() > 3 && chunks.concat() == long);
        assert_eq!(cut(""), None);
    }
}
