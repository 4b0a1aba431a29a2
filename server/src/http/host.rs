//! The host names that this server answers to. A foreign web page can point a name of its own at
//! this machine (DNS rebinding); the browser then sends that name.

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderName, ORIGIN};

use super::peers::forwarded_host;

/// The host names besides `localhost`, from the setting `hosts`. An IP address needs no entry: it
/// can't be rebound.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts(Vec<String>);

/// The host of an authority: `example.com:80` without the port, `[::1]:80` without brackets.
fn without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(authority, |(address, _)| address);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

fn address(host: &str) -> Option<std::net::IpAddr> {
    host.parse().ok()
}

fn text(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name).map(|v| v.to_str().unwrap_or_default())
}

impl Hosts {
    /// Parses names that are separated by commas.
    pub(crate) fn new(names: &str) -> Self {
        Self(names.split(',').map(|n| n.trim().to_lowercase()).filter(|n| !n.is_empty()).collect())
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_lowercase();
        host == "localhost" || self.0.contains(&host)
    }

    /// True if the request is for a name of this server, or for an IP address.
    pub(crate) fn takes(&self, request: &HttpRequest) -> bool {
        // Who forwards for others says what they asked for.
        let Some(host) = forwarded_host(request).or_else(|| text(request, HOST)).map(without_port)
        else {
            return true;
        };
        address(host).is_some() || self.knows(host)
    }

    /// True if the request comes from a page of this server, or from no page.
    pub(crate) fn takes_origin(&self, request: &HttpRequest) -> bool {
        let Some(origin) = text(request, ORIGIN) else { return true };
        let Some((_, authority)) = origin.split_once("://") else { return false };
        let host = without_port(authority);
        forwarded_host(request).or_else(|| text(request, HOST)) == Some(authority)
            || address(host).is_some_and(|a| a.is_loopback())
            || self.knows(host)
    }
}
