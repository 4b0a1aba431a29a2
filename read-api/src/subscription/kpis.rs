//! KPIs that change.

use std::collections::HashMap;
use std::time::Duration;

use async_graphql::{Context, ID, Result, SimpleObject, Subscription};
use futures_util::{Stream, stream};

use super::{SubscriptionCursor, end_of};
use crate::metrics::{Kpi, KpiFilter, kpis_of};

/// Pause between two evaluations of a subscription's KPIs.
const KPI_PAUSE: Duration = Duration::from_millis(250);

/// KPIs whose value changed.
#[derive(SimpleObject)]
struct KpiChange {
    /// The `seq` of the last event that is counted in the values.
    seq: i64,
    /// The KPIs whose value changed.
    kpis: Vec<Kpi>,
}

/// The part of the subscriptions that is about KPIs.
#[derive(Default)]
pub(crate) struct KpiChanges;

/// The part of the subscriptions that is about KPIs.
#[Subscription]
impl KpiChanges {
    /// KPIs of the business: first all of them, then those whose value changed.
    async fn kpis(
        &self,
        ctx: &Context<'_>,
        slug: Option<String>,
        id: Option<ID>,
        ids: Option<Vec<String>>,
    ) -> Result<impl Stream<Item = Result<KpiChange>> + use<>> {
        let mut place = SubscriptionCursor::open(ctx, slug, id, None)?;
        let scope =
            KpiFilter::default().scope(vec![place.business.clone()], place.currency.clone());
        // Where it stands is said at once.
        place.after = -1;
        let begin = Some((place, HashMap::<String, String>::new()));
        Ok(stream::unfold(begin, move |state| {
            let (scope, ids) = (scope.clone(), ids.clone());
            async move {
                let (mut place, mut known) = state?;
                loop {
                    let end = |c: &rusqlite::Connection,
                               place: &SubscriptionCursor|
                     -> rusqlite::Result<Vec<i64>> {
                        let end = end_of(c, &place.business)?;
                        Ok(Some(end).filter(|end| *end > place.after).into_iter().collect())
                    };
                    match place.next(end).await {
                        Ok(found) => place.after = found.last().copied().unwrap_or(place.after),
                        Err(e) => return Some((Err(e), None)),
                    }
                    let mut kpis = match kpis_of(&place.sources, scope.clone(), ids.clone()).await {
                        Ok(kpis) => kpis,
                        Err(e) => return Some((Err(e), None)),
                    };
                    kpis.retain(|kpi| {
                        let (id, value) = kpi.change_key();
                        known.insert(id, value.clone()) != Some(value)
                    });
                    if !kpis.is_empty() {
                        let seq = place.after;
                        return Some((Ok(KpiChange { seq, kpis }), Some((place, known))));
                    }
                    tokio::time::sleep(KPI_PAUSE).await;
                }
            }
        }))
    }
}
