//! A core's clients, as far as the shard has to do with them: some have to go to make room for others, and all of them at the stop.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use super::Shard;
use super::message::Request;

/// The connections of one core.
pub trait Clients {
    /// Closes the connection that was active the longest ago; false when there is none.
    fn close_least_used(&self) -> bool;

    /// Accepts no more connections and reads no more requests. Ready when those that were received are answered, or soon after at
    /// the latest; then every connection is closed.
    fn end_all(self: Rc<Self>) -> Pin<Box<dyn Future<Output = ()>>>;
}

impl Shard {
    /// Whom this core serves from now on.
    pub fn serves(&self, clients: Rc<dyn Clients>) {
        self.clients.replace(Some(clients));
    }

    pub(super) fn close_one_here(&self) -> bool {
        let clients = self.clients.borrow().clone();
        clients.is_some_and(|clients| clients.close_least_used())
    }

    pub(super) async fn end_clients_here(&self) {
        let clients = self.clients.borrow().clone();
        if let Some(clients) = clients {
            clients.end_all().await;
        }
    }

    /// Lets go of every client of the node, while everything that they still wait for can be answered.
    pub(super) async fn end_all_clients(self: &Rc<Self>) {
        let told = self.ask_peers(|| Request::EndClients);
        self.end_clients_here().await;
        told.await;
    }
}
