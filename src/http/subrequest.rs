//! Requests made here for the sake of another: it waits for what they give. They have its headers, and
//! neither its body nor a line of a log.

use std::pin::Pin;
use std::sync::Arc;

use http::Response;

use super::body::Body;
use super::exchange::Exchange;
use super::finish::Finish;
use super::pages::act;
use super::route::Found;
use super::stages::Outcome;

/// How deep such requests may make others.
const DEEPEST: u8 = 20;

/// An answer. The peer it comes from is busy as long as the rest of it is held.
pub(super) struct Given {
    pub(super) response: Response<Body>,
    pub(super) finish: Finish,
}

type Asking<'f> = Pin<Box<dyn Future<Output = Option<Given>> + Send + 'f>>;

/// Asks for a path, by GET. There is no answer where a location closes the connection instead, and none
/// when too many are made within each other.
pub(super) fn ask<'f>(exchange: &'f mut Exchange<'_>, path: String, args: String) -> Asking<'f> {
    Box::pin(async move {
        if exchange.state.depth == DEEPEST {
            tracing::error!("requests for parts go round in a circle: {path:?}");
            return None;
        }
        // one id for all of them
        exchange.request_id.get();
        let mut inner = Exchange {
            shared: exchange.shared,
            connection: exchange.connection,
            verdicts: exchange.verdicts,
            number: exchange.number,
            parts: exchange.parts,
            spelling: exchange.spelling,
            client: exchange.client,
            site: exchange.site,
            route: exchange.site.own(),
            found: Found::new(0, 0),
            state: exchange.state.of_part(path, args),
            request_id: exchange.request_id.clone(),
        };
        let mut finish = Finish::of_part(Arc::clone(exchange.verdicts));
        let outcome = act(&mut inner, None, false, &mut finish).await;
        exchange.state.take_over(inner.state);
        match outcome? {
            Outcome::Answer((response, _)) => Some(Given { response, finish }),
            // nothing was asked to switch
            Outcome::Switching(..) => None,
        }
    })
}
