//! Somebody who asks a command bus: an operator, and whom it makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use commands::{Actor, CommandBus, CommandError, Receipt, Submission};
use domain::access::PrincipalKind;
use domain::ids::{ApprovalId, INSTALLATION};
use domain::{BusinessId, PrincipalId};
use serde_json::{Value, json};
use uuid::Uuid;

/// An operator at a command bus.
pub struct Asking {
    bus: Arc<CommandBus>,
    operator: PrincipalId,
    keys: AtomicU64,
}

impl Asking {
    /// On that command bus, with idempotency keys that are numbered from there.
    #[must_use]
    pub fn new(bus: Arc<CommandBus>, operator: PrincipalId, keys: u64) -> Self {
        Self { bus, operator, keys: AtomicU64::new(keys) }
    }

    /// The command bus itself.
    pub fn bus(&self) -> &CommandBus {
        &self.bus
    }

    /// An idempotency key that was not used before.
    pub fn key(&self) -> String {
        format!("test-{}", self.keys.fetch_add(1, Ordering::Relaxed))
    }

    /// The operator as an actor in a business.
    ///
    /// # Panics
    /// When it was never added.
    pub async fn operator_in(&self, business: BusinessId) -> Actor {
        self.bus.directory().actor(self.operator, business).await.unwrap().unwrap()
    }

    /// Submits under a fresh key.
    ///
    /// # Errors
    /// What the command bus says.
    pub async fn submit(
        &self,
        actor: &Actor,
        business: BusinessId,
        command: &str,
        id: Option<Uuid>,
        data: Value,
    ) -> Result<Receipt, CommandError> {
        self.bus
            .submit(Submission::new(business, actor.clone(), self.key(), command, id, &data))
            .await
    }

    /// Submits under a fresh key, with an approval.
    ///
    /// # Errors
    /// What the command bus says.
    pub async fn present(
        &self,
        actor: &Actor,
        business: BusinessId,
        command: &str,
        id: Uuid,
        data: &Value,
        approval: Option<Uuid>,
    ) -> Result<Receipt, CommandError> {
        let mut submission =
            Submission::new(business, actor.clone(), self.key(), command, Some(id), data);
        submission.approval_id = approval.map(ApprovalId);
        self.bus.submit(submission).await
    }

    /// Submits as the operator, who must get through.
    ///
    /// # Panics
    /// When the command bus refuses.
    pub async fn must(
        &self,
        business: BusinessId,
        command: &str,
        id: Option<Uuid>,
        data: Value,
    ) -> Receipt {
        let actor = self.operator_in(business).await;
        self.submit(&actor, business, command, id, data)
            .await
            .unwrap_or_else(|e| panic!("{command}: {e}"))
    }

    /// Registers a business whose owner is the operator.
    pub async fn business(&self, slug: &str) -> BusinessId {
        let data = json!({"slug": slug, "currency": "EUR", "idea": "canary-idea"});
        self.must(INSTALLATION, "businesses.register", None, data).await.business
    }

    /// A principal with a role in a business.
    ///
    /// # Panics
    /// When it can't be added.
    pub async fn principal(
        &self,
        business: BusinessId,
        kind: PrincipalKind,
        role: Option<&str>,
    ) -> Actor {
        let id = business.derive_id(&self.key());
        let add = json!({"kind": kind, "display_name": "canary-name"});
        self.must(INSTALLATION, "access.add_principal", Some(id), add).await;
        if let Some(role) = role {
            self.must(
                INSTALLATION,
                "access.grant_role",
                Some(id),
                json!({"business": business, "role": role}),
            )
            .await;
        }
        self.bus.directory().actor(PrincipalId(id), business).await.unwrap().unwrap()
    }

    /// A second human who may approve in a business: the same one every time, made an approver by
    /// another operator than the one who asks.
    ///
    /// # Panics
    /// When it can't be added.
    pub async fn approver(&self, business: BusinessId) -> Actor {
        let id = business.derive_id("approver of tests");
        let known = self.bus.directory().actor(PrincipalId(id), business).await.unwrap();
        if let Some(known) = known.filter(|a| !a.roles.is_empty()) {
            return known;
        }
        let add = json!({"kind": "human", "display_name": "canary-approver"});
        self.must(INSTALLATION, "access.add_principal", Some(id), add).await;
        let other = INSTALLATION.derive_id("second operator of tests");
        let operator =
            json!({"kind": "human", "display_name": "canary-operator", "operator": true});
        self.must(INSTALLATION, "access.add_principal", Some(other), operator).await;
        let other =
            self.bus.directory().actor(PrincipalId(other), INSTALLATION).await.unwrap().unwrap();
        self.submit(
            &other,
            INSTALLATION,
            "access.grant_role",
            Some(id),
            json!({"business": business, "role": "approver"}),
        )
        .await
        .unwrap();
        self.bus.directory().actor(PrincipalId(id), business).await.unwrap().unwrap()
    }

    /// Asks for approval of a command as the operator and has it granted; the approval's id.
    ///
    /// # Panics
    /// When that does not work.
    pub async fn approval_of(
        &self,
        business: BusinessId,
        command: &str,
        id: Uuid,
        data: &Value,
    ) -> Uuid {
        let request = json!({"command": {"type": command, "id": id, "data": data}});
        let approval = self.must(business, "approvals.request", None, request).await.events[0].id;
        let approver = self.approver(business).await;
        self.submit(
            &approver,
            business,
            "approvals.vote",
            Some(approval),
            json!({"choice": "approve"}),
        )
        .await
        .unwrap();
        approval
    }

    /// Sends as the operator what needs approval, with an approval that was asked for and granted.
    ///
    /// # Panics
    /// When that does not work.
    pub async fn approved(
        &self,
        business: BusinessId,
        command: &str,
        id: Uuid,
        data: Value,
    ) -> Receipt {
        let approval = self.approval_of(business, command, id, &data).await;
        let actor = self.operator_in(business).await;
        self.present(&actor, business, command, id, &data, Some(approval))
            .await
            .unwrap_or_else(|e| panic!("{command}: {e}"))
    }
}
