//! The lists of a business. Each context declares its own; all have the same arguments.

/// Declares lists of a business as fields of GraphQL: `field: Node, by Filter`. A list that not
/// everybody may see, who sees other things of the business, has a check, `if check`: it is null, with
/// the error of the check, for those who may not.
macro_rules! lists {
    ($(#[$doc:meta])* $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $node:ty, by $filter:ty $(, if $check:path)?;)*
    }) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub(crate) struct $name(pub(crate) String);

        $(#[$doc])*
        #[async_graphql::Object]
        impl $name {
            $(
                $(#[$field_doc])*
                #[allow(clippy::too_many_arguments, reason = "every list has these arguments")]
                #[graphql(complexity = "crate::page::cost(first, last, child_complexity)")]
                async fn $field(
                    &self,
                    ctx: &async_graphql::Context<'_>,
                    #[graphql(desc = "The first rows: how many; 50 when left out, 200 at most.")]
                    first: Option<i32>,
                    #[graphql(desc = "Only rows after this cursor.")] after: Option<String>,
                    #[graphql(desc = "The last rows: how many, 200 at most.")]
                    last: Option<i32>,
                    #[graphql(desc = "Only rows before this cursor.")] before: Option<String>,
                    #[graphql(desc = "The order of the rows; OLDEST_FIRST when left out.")]
                    order_by: Option<$crate::page::ListOrder>,
                    #[graphql(desc = "Only rows that meet all of this.")]
                    filter: Option<$filter>,
                ) -> async_graphql::Result<$crate::lists::lists!(@page $node $(, $check)?)> {
                    $($check(ctx, self.0.parse()?)?;)?
                    use $crate::filter::{Filter, ListFilter as _};
                    let order = order_by.unwrap_or_default();
                    let page = $crate::page::Page { first, after, last, before, order,
                        on_row: false };
                    let filter = filter.unwrap_or_default().add_to(Filter::of(&self.0))?;
                    Ok($crate::page::list(ctx, filter, page).await?.into())
                }
            )*
        }
    };
    (@page $node:ty) => { $crate::page::List<$node> };
    (@page $node:ty, $check:path) => { Option<$crate::page::List<$node>> };
}
pub(crate) use lists;
