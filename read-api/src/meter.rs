//! What a request costs. The schema refuses what is too expensive without saying how expensive it
//! is; a schema without that limit, which runs nothing, finds it out.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{
    ErrorExtensionValues, Request, ServerError, ValidationMode, ValidationResult, Value, Variables,
};

use crate::{Schema, builder_without_cost};

/// Ends every request after its validation, with its cost as an error.
struct EndWithCost;

impl ExtensionFactory for EndWithCost {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for EndWithCost {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        let cost = next.run(ctx).await?.complexity;
        let mut error = ServerError::new("measured", None);
        let mut values = ErrorExtensionValues::default();
        values.set("cost", cost);
        error.extensions = Some(values);
        Err(vec![error])
    }
}

/// What the cost of a request depends on, besides its document.
pub(crate) struct Measured {
    variables: Variables,
    operation: Option<String>,
}

impl Measured {
    pub(crate) fn of(request: &Request) -> Self {
        Self { variables: request.variables.clone(), operation: request.operation_name.clone() }
    }
}

/// Measures the cost of requests.
pub(crate) struct Meter(Schema);

impl Meter {
    pub(crate) fn new() -> Self {
        let schema = builder_without_cost().validation_mode(ValidationMode::Fast);
        Self(schema.extension(EndWithCost).finish())
    }

    /// Cost of a request that fits the schema; `None` if it does not.
    pub(crate) async fn cost(&self, document: &ExecutableDocument, of: Measured) -> Option<u64> {
        let mut request = Request::new("").variables(of.variables);
        request.operation_name = of.operation;
        request.set_parsed_query(document.clone());
        let response = self.0.execute(request).await;
        let cost = response.errors.first()?.extensions.as_ref()?.get("cost")?;
        match cost {
            Value::Number(cost) => cost.as_u64(),
            Value::Null
            | Value::String(_)
            | Value::Boolean(_)
            | Value::Binary(_)
            | Value::Enum(_)
            | Value::List(_)
            | Value::Object(_) => None,
        }
    }
}
