//! The classes of an operation of an outside service and of its data: by the business's approval
//! policy, else by the compiled-in table. An operation that neither names counts as spending,
//! with restricted data. A caller can only raise the classes.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::approvals::ApprovalPolicy;
use domain::integrations::{DataClass, OperationClass};
use domain::values::Name;

/// The compiled-in table; a line has connector, operation, class and data class.
const TABLE: &str = include_str!("operation-classes.txt");

type Classes = (OperationClass, DataClass);

static COMPILED_IN: LazyLock<HashMap<(&str, &str), Classes>> = LazyLock::new(|| {
    let row = |line: &'static str| {
        let mut words = line.split_whitespace();
        let (connector, operation) = (words.next()?, words.next()?);
        Some(((connector, operation), (words.next()?.parse().ok()?, words.next()?.parse().ok()?)))
    };
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
});

/// The class of an operation and of its data.
pub(crate) fn of(policy: &ApprovalPolicy, connector: &Name, operation: &Name) -> Classes {
    let own = policy
        .operation_classes
        .iter()
        .find(|rule| rule.connector == *connector && rule.operation == *operation);
    let compiled_in = || COMPILED_IN.get(&(connector.as_str(), operation.as_str())).copied();
    own.map(|rule| (rule.class, rule.data_class.unwrap_or(DataClass::Restricted)))
        .or_else(compiled_in)
        .unwrap_or((OperationClass::Spending, DataClass::Restricted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_table_is_read() {
        let rows =
            TABLE.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).count();
        assert_eq!(
            COMPILED_IN.len(),
            rows,
            "a row that is not read would count as unknown, and two of one operation as one"
        );
    }
}
