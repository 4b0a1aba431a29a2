//! The relay to RabbitMQ: every event's public form to the topic exchange `minutebook`, under the
//! routing key `<business>.<context>.<event>`, as a CloudEvent in the structured mode of the AMQP
//! binding. A page counts as done when the broker has confirmed each message; `message_id` is the
//! event's id, by which a receiver drops what it has seen.

use std::time::Duration;

use async_trait::async_trait;
use event_log::{Cause, Recorded};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};

use crate::consumer::Effect;
use crate::public;

/// Name of the exchange.
pub const EXCHANGE: &str = "minutebook";
/// Longest time that a broker may take to confirm a page.
const PATIENCE: Duration = Duration::from_secs(30);
/// AMQP's delivery mode for messages that survive a restart of the broker.
const PERSISTENT: u8 = 2;

/// A relay to one broker; it connects when it has something to send, and again after a failure.
pub struct Relay {
    url: String,
    link: Option<(Connection, Channel)>,
}

impl Relay {
    /// Makes a relay to the broker at this address, `amqp://user:password@host:5672/%2f`.
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), link: None }
    }

    async fn connect(&self) -> Result<(Connection, Channel), lapin::Error> {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await?;
        Ok((connection, channel))
    }

    async fn send(&mut self, events: &[Recorded]) -> Result<(), Cause> {
        let link = match self.link.take().filter(|(connection, _)| connection.status().connected())
        {
            Some(link) => link,
            None => self.connect().await.map_err(|e| Cause::new("RabbitMQ can't be reached", e))?,
        };
        let channel = &link.1;
        let mut confirms = Vec::new();
        for recorded in events {
            let Some(event) = public::cloud_event(recorded).map_err(Cause::of)? else {
                continue;
            };
            let text = |name: &str| {
                event.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
            };
            let stored = recorded.stored().map_err(Cause::of)?;
            let properties = BasicProperties::default()
                .with_content_type("application/cloudevents+json; charset=utf-8".into())
                .with_delivery_mode(PERSISTENT)
                .with_message_id(text("id").into())
                .with_type(text("type").into())
                .with_app_id("minutebook".into());
            let key = format!("{}.{}", recorded.business, stored.r#type);
            let body = event.to_string();
            let sent = channel.basic_publish(
                EXCHANGE.into(),
                key.into(),
                BasicPublishOptions::default(),
                body.as_bytes(),
                properties,
            );
            confirms.push(sent.await.map_err(|e| Cause::new("RabbitMQ", e))?);
        }
        for confirm in confirms {
            let confirmed = confirm.await.map_err(|e| Cause::new("RabbitMQ", e))?;
            if !confirmed.is_ack() {
                return Err(Cause::of("RabbitMQ did not take a message"));
            }
        }
        self.link = Some(link);
        Ok(())
    }
}

#[async_trait]
impl Effect for Relay {
    async fn act(&mut self, events: &[Recorded]) -> Result<(), Cause> {
        // A link that is not given back is not used again.
        tokio::time::timeout(PATIENCE, self.send(events))
            .await
            .unwrap_or_else(|_| Err(Cause::of("RabbitMQ did not answer in time")))
    }
}
