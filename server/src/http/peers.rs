//! Which peers may connect: a bounded number of connections each; without TLS, from other machines
//! only proxies that forward for others.

use std::any::Any;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::HttpRequest;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use domain::limits::CONNECTIONS_PER_PEER_MAX;
use ipnet::IpNet;
use socket2::SockRef;

use super::slots::Slots;

/// The peers that may forward requests of others, from the setting `behind_proxy`.
#[derive(Debug, Clone, Default)]
pub struct Forwarders(Vec<IpNet>);

impl Forwarders {
    /// Parses addresses and networks that are separated by commas.
    ///
    /// # Errors
    /// A sentence that names the part that is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let net = |part: &str| {
            part.parse::<IpNet>()
                .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| part.to_owned())
        };
        let nets: Result<Vec<_>, _> = parts.map(net).collect();
        let nets = nets.map_err(|odd| {
            format!(
                "settings: behind_proxy: `{odd}` is neither an IP address nor a network; write an \
                 address like 10.0.0.7 or a network like 10.0.0.0/24"
            )
        })?;
        Ok(Self(nets))
    }

    fn contain(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&peer))
    }
}

/// True if only this machine reaches an address of the settings.
///
/// # Errors
/// A sentence, if the text is no address.
pub fn is_loopback(address: &str) -> Result<bool, String> {
    let found = address.to_socket_addrs().map_err(|e| {
        format!("settings: `{address}` is no address to listen on: {e}; use such as 127.0.0.1:7117")
    })?;
    Ok(found.map(|a| a.ip()).all(|ip| ip.is_loopback()))
}

/// The peer of an address: for IPv4 the address, for IPv6 its network, of which one host may have
/// 2^64.
fn peer(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

/// Marks a connection from a peer that may forward requests of others.
struct Forwards;

/// The host name that a forwarding peer was asked for; `None` from any other peer.
pub(crate) fn forwarded_host(request: &HttpRequest) -> Option<&str> {
    request.conn_data::<Forwards>()?;
    request.headers().get("X-Forwarded-Host").map(|v| v.to_str().unwrap_or_default())
}

/// The connected peers, and how many connections each has.
pub(crate) struct Peers {
    slots: Slots<IpAddr>,
    forwarders: Forwarders,
    in_the_clear: bool,
    refused: AtomicU64,
}

impl Peers {
    pub(crate) fn new(forwarders: Forwarders, in_the_clear: bool) -> Arc<Self> {
        Arc::new(Self {
            slots: Slots::new(CONNECTIONS_PER_PEER_MAX),
            forwarders,
            in_the_clear,
            refused: AtomicU64::new(0),
        })
    }

    /// How many connections were cut off because their peer had too many or may not connect.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Checks a new connection; one that is not allowed is cut off before anything is read from it.
    pub(crate) fn connected(&self, connection: &dyn Any, data: &mut Extensions) {
        let plain = connection.downcast_ref::<TcpStream>();
        let Some(stream) = plain.or_else(|| {
            connection.downcast_ref::<TlsStream<TcpStream>>().map(|tls| tls.get_ref().0)
        }) else {
            return;
        };
        if stream.peer_addr().is_ok_and(|address| self.lets_in(address, data)) {
            return;
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        // It is gone already, if this fails.
        let _ = SockRef::from(stream).shutdown(Shutdown::Both);
    }

    fn lets_in(&self, address: SocketAddr, data: &mut Extensions) -> bool {
        let ip = address.ip().to_canonical();
        if self.forwarders.contain(ip) {
            data.insert(Forwards);
            return true;
        }
        if self.in_the_clear && !ip.is_loopback() {
            return false;
        }
        // Held until the connection ends.
        self.slots.take(peer(address)).map(|place| data.insert(place)).is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests may")]

    use super::*;

    fn lets_in(peers: &Peers, address: &str) -> Option<Extensions> {
        let mut data = Extensions::new();
        peers.lets_in(address.parse().unwrap(), &mut data).then_some(data)
    }

    #[test]
    fn one_peer_has_so_many_connections_and_no_more() {
        let peers = Peers::new(Forwarders::parse("10.0.0.7, 10.1.0.0/16").unwrap(), false);
        let mut open: Vec<_> = (0..CONNECTIONS_PER_PEER_MAX)
            .map(|_| lets_in(&peers, "192.0.2.1:5").unwrap())
            .collect();
        assert!(
            lets_in(&peers, "192.0.2.1:6").is_none()
                && lets_in(&peers, "[::ffff:192.0.2.1]:6").is_none()
        );
        assert!(lets_in(&peers, "192.0.2.2:6").is_some(), "another has its own");
        open.pop();
        assert!(lets_in(&peers, "192.0.2.1:6").is_some());
        let of_a_network: Vec<_> = (0..CONNECTIONS_PER_PEER_MAX)
            .map(|n| lets_in(&peers, &format!("[2001:db8::{n:x}]:5")).unwrap())
            .collect();
        assert!(
            lets_in(&peers, "[2001:db8::ffff:1]:5").is_none()
                && lets_in(&peers, "[2001:db9::1]:5").is_some()
        );
        drop(of_a_network);
        let forwarded: Vec<_> = (0..=CONNECTIONS_PER_PEER_MAX)
            .map(|_| lets_in(&peers, "10.1.2.3:5").unwrap())
            .collect();
        assert!(forwarded.iter().all(|data| data.contains::<Forwards>()));
    }

    #[test]
    fn in_the_clear_other_machines_only_forward() {
        let peers = Peers::new(Forwarders::parse("10.0.0.7").unwrap(), true);
        assert!(lets_in(&peers, "127.0.0.1:5").is_some() && lets_in(&peers, "[::1]:5").is_some());
        assert!(lets_in(&peers, "10.0.0.7:5").unwrap().contains::<Forwards>());
        assert!(lets_in(&peers, "10.0.0.8:5").is_none());
        assert!(Forwarders::parse("10.0.0").unwrap_err().contains("`10.0.0`"));
    }
}
