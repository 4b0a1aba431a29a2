//! The projections by the file that their tables are in.

use crate::{ALL, Apply, Projection};

/// Projections whose tables are in one view file, which a runner of its own keeps up to date.
#[derive(Clone, Copy)]
pub(crate) struct ProjectionSet {
    /// Name of the set, for its thread.
    pub(crate) name: &'static str,
    /// Folder of the set's view files within the folder of the views; empty = that folder itself.
    pub(crate) folder: &'static str,
    pub(crate) projections: &'static [Projection],
}

const SPLIT: (&[Projection], &[Projection]) = ALL.split_at(sealed());

/// The tables without personal text.
pub(crate) const TABLES: ProjectionSet =
    ProjectionSet { name: "projections", folder: "", projections: SPLIT.0 };

/// The tables with personal text in the clear.
pub(crate) const SEARCH: ProjectionSet =
    ProjectionSet { name: "projections-search", folder: "search", projections: SPLIT.1 };

/// How many projections keep personal text sealed; those that don't must stand behind them.
const fn sealed() -> usize {
    let (mut n, mut i) = (0, 0);
    while i < ALL.len() {
        if matches!(ALL[i].apply, Apply::Sealed(_)) {
            assert!(n == i, "a searchable projection stands before one that is not");
            n += 1;
        }
        i += 1;
    }
    n
}

impl ProjectionSet {
    /// True if the set's tables hold personal text in the clear.
    pub(crate) fn is_searchable(&self) -> bool {
        self.projections.iter().any(Projection::is_searchable)
    }
}

impl Projection {
    /// True if the tables hold personal text in the clear.
    pub(crate) const fn is_searchable(&self) -> bool {
        matches!(self.apply, Apply::Searchable(_))
    }
}
