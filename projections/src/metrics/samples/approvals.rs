//! Samples of requests for approval.

use domain::approvals::{Choice, Event as Approvals};

use super::{About, SampleWriter, seconds};
use crate::metrics::rows::KpiApproval;
use crate::rows::Tables;
use crate::{Applied, ApplyError};

/// A vote that comes sooner than this after its request counts as not thought about, in
/// microseconds.
const STAMP_MICROS: i64 = 5_000_000;

pub(in super::super) fn approvals(
    tables: &mut Tables<'_>,
    a: &Applied<'_>,
    event: &Approvals,
) -> Result<(), ApplyError> {
    let key = (a.business, a.stored.id);
    if matches!(event, Approvals::Requested(_)) {
        return tables.set(KpiApproval {
            business: a.business,
            approval: a.stored.id,
            requested: a.at(),
            decided: false,
        });
    }
    let known = tables.row::<KpiApproval>(&key)?.map(|k| (k.requested, k.decided));
    let Some((requested, decided)) = known else { return Ok(()) };
    let mut writer = SampleWriter::new(tables, a, About::default());
    match event {
        Approvals::Voted(e) if e.choice == Choice::Approve => {
            writer.one("approved")?;
            let waited = a.at().as_micros() - requested.as_micros();
            if waited < STAMP_MICROS { writer.one("stamped") } else { Ok(()) }
        }
        Approvals::Granted(_) | Approvals::Rejected(_) => {
            writer.one("approval_decided")?;
            writer.one("approval_ended")?;
            if matches!(event, Approvals::Rejected(_)) {
                writer.one("approval_rejected")?;
            }
            writer.value("approval_seconds", seconds(requested, a.at()), "")?;
            if let Some(known) = tables.change::<KpiApproval>(&key)? {
                known.decided = true;
            }
            Ok(())
        }
        // What was granted and ran out unused was decided all the same.
        Approvals::Expired(_) if decided => Ok(()),
        Approvals::Expired(_) => {
            writer.one("approval_ended")?;
            writer.one("approval_expired")
        }
        Approvals::Requested(_)
        | Approvals::Voted(_)
        | Approvals::Commented(_)
        | Approvals::Delegated(_)
        | Approvals::DelegationRevoked(_)
        | Approvals::Escalated(_)
        | Approvals::Withdrawn(_)
        | Approvals::Consumed(_)
        | Approvals::PolicyDefined(_) => Ok(()),
    }
}
