//! What the workers' ends tell: a connection that is given back or passed on, and room for others.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;

use super::dispatch::Handed;
use super::listener::Listener;
use super::state::{Departure, State};
use super::watch::Token;
use super::worker::Standing;
use super::BATCH;
use crate::connections::handoff::{Connection, ListenerId, Taken};
use crate::connections::policy::WorkerId;
use crate::os::error::{Error, Result};

impl State {
    pub fn worker_ready(&mut self, id: WorkerId, events: EpollFlags) {
        if events.contains(EpollFlags::EPOLLOUT) {
            if let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.standing == Standing::Full) {
                worker.standing = Standing::Ready;
                self.watch_worker(id);
                self.resume_all();
            }
        }
        if events.intersects(EpollFlags::EPOLLIN | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR) {
            self.hear(id);
        }
    }

    /// Has epoll tell of a worker's end what is to be known.
    pub fn watch_worker(&self, id: WorkerId) {
        let Some(worker) = self.workers.get(&id).filter(|worker| worker.standing != Standing::Leaving) else { return };
        self.epoll.change(worker.queue.near(), Token::Worker(id), worker.events());
    }

    /// Receives what a worker sends.
    pub fn hear(&mut self, id: WorkerId) {
        for _ in 0..BATCH {
            let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.standing != Standing::Leaving) else {
                return;
            };
            let heard = match worker.queue.receive() {
                Ok(Taken::Connection(connection)) if connection.asks => self.passed_on(id, connection),
                Ok(Taken::Connection(connection)) => self.given_back(id, connection),
                Ok(Taken::Room(listener)) => self.has_room(id, listener),
                Ok(Taken::Fewer) => {
                    self.has_fewer(id);
                    Ok(())
                }
                Ok(Taken::Probe | Taken::Lost(_)) => Ok(()),
                Ok(Taken::Nothing | Taken::End) => return self.set_unheard(id, None),
                Ok(Taken::Starved) => return self.set_unheard(id, Some(Errno::EMFILE)),
                // ENOMEM and its like: what was sent is still there.
                Err(Error::Os { errno, .. }) => return self.set_unheard(id, Some(errno)),
                Err(error) => Err(error),
            };
            if let Err(error) = heard {
                return self.depart(id, Departure::Broken(error));
            }
        }
        self.set_unheard(id, None);
    }

    /// Notes whether something of a worker could not be received for want of descriptors or memory, and why: then its
    /// end, which stays readable, is not watched until a tick has tried again.
    fn set_unheard(&mut self, id: WorkerId, why: Option<Errno>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        match (worker.unheard, why) {
            (false, Some(errno)) => {
                worker.unheard = true;
                self.epoll.remove(worker.queue.near());
                self.starved(Error::os("recvmsg", errno));
            }
            (true, None) => {
                let watched = self.epoll.add(worker.queue.near(), Token::Worker(id), worker.events());
                worker.unheard = watched.is_err();
            }
            _ => {}
        }
    }

    /// Looks at what a worker gave back: is it one of those that it was handed?
    ///
    /// # Errors
    /// [`Error::NotHanded`].
    pub fn check_returned(&mut self, id: WorkerId, connection: &Connection) -> Result<()> {
        let number = connection.listener;
        let is_one = match self.listeners.get(&number) {
            Some(listener) => {
                self.workers.get_mut(&id).is_some_and(|worker| worker.give_up(number))
                    && listener.has_accepted(connection.socket.as_fd())
                    && (connection.peer.is_none() || !listener.dispatch.proxies.is_empty())
            }
            // It was closed meanwhile, and the connection is closed with it.
            None => self.has_been(number),
        };
        is_one.then_some(()).ok_or(Error::NotHanded { worker: id, listener: number })
    }

    /// A worker gave a connection back: another one may have room for it.
    fn given_back(&mut self, id: WorkerId, mut connection: Connection) -> Result<()> {
        self.check_returned(id, &connection)?;
        // What a worker says of it is nothing to go by.
        connection.since = 0;
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.counts.refused += 1;
        }
        let Some(listener) = self.listeners.get_mut(&connection.listener) else { return Ok(()) };
        if listener.rotation.contains(id) {
            if listener.socket.is_none() {
                // Its last worker does not take it: nobody will.
                self.past.dropped += 1;
                return Ok(());
            }
            listener.refuse(id);
        }
        self.place(connection);
        Ok(())
    }

    /// A worker passes a connection on: its next request, of which nothing has been read, is somebody else's.
    fn passed_on(&mut self, id: WorkerId, mut connection: Connection) -> Result<()> {
        self.check_returned(id, &connection)?;
        (connection.asks, connection.since) = (false, 0);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.counts.passed_on += 1;
        }
        if let Some(listener) = self.listeners.get(&connection.listener) {
            let visitor = self.looker.meet_again(connection, &listener.dispatch);
            self.look_at_first(visitor);
        } else {
            // The listener was closed meanwhile, and who has sent this still serves what it has.
            self.hand_to(id, &connection);
        }
        Ok(())
    }

    /// A worker that refused has room again. While others wait, it gets one of them and is to say so again: it may
    /// have room for no more.
    fn has_room(&mut self, id: WorkerId, number: ListenerId) -> Result<()> {
        if !self.has_been(number) {
            return Err(Error::NotHanded { worker: id, listener: number });
        }
        let now = self.now;
        let Some(listener) = self.listeners.get_mut(&number).filter(|listener| listener.is_refused_by(id)) else {
            return Ok(());
        };
        let ready = self.workers.get(&id).filter(|worker| listener.may_have(worker, id, now));
        let Some((mut connection, is_held)) = ready.and_then(|it| listener.first_of_many(it.slot, &self.workers))
        else {
            listener.admit(id);
            self.resume(number);
            return Ok(());
        };
        connection.asks = true;
        connection.gauge = listener.dispatch.limit.as_ref().map(|limit| limit.gauge);
        if !matches!(self.hand_to(id, &connection), Handed::Over) {
            if let Some(listener) = self.listeners.get_mut(&number) {
                let line = if is_held { &mut listener.held } else { &mut listener.waiting };
                line.push_front(connection);
            }
        }
        Ok(())
    }

    /// A worker that had as many connections as it may have has fewer: those that wait for it go on.
    fn has_fewer(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !std::mem::take(&mut worker.is_wanted) {
            return;
        }
        let is_its = |listener: &Listener| listener.dispatch.limit.is_some() && listener.rotation.contains(id);
        let listeners: Vec<_> = self.listeners.iter().filter(|(_, it)| is_its(it)).map(|(id, _)| *id).collect();
        for listener in listeners {
            self.resume(listener);
        }
    }
}
