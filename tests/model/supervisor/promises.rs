//! What the supervisor promises, each looked at naively, at each action and after each event.

use nix::sys::signal::Signal;
use rust_cluster::supervisor::{Action, Detail, Event, Report, SlotNumber, WorkerId};

use super::house::{Fork, House, Process};

fn detail<'a>(report: &'a Report, name: &str) -> &'a str {
    let texts = report.details.iter().filter(|(key, _)| *key == name);
    let mut texts = texts.filter_map(|(_, detail)| if let Detail::Text(text) = detail { Some(text) } else { None });
    texts.next().map_or("", String::as_str)
}

impl House {
    /// Tells an event, and then the time until it wants to hear it no more.
    pub fn tell(&mut self, event: Event) {
        self.take(event);
        for _ in 0..4 {
            if self.supervisor.deadline().is_none_or(|at| at > self.now) {
                return self.look_around();
            }
            self.take(Event::Time);
        }
        panic!("it asks for the time again and again: {self:#?}");
    }

    fn take(&mut self, event: Event) {
        for action in self.supervisor.handle(self.now, event) {
            let answers = matches!(action, Action::ReloadFailed(_) | Action::ScaleFailed(_));
            assert!(!self.ended || answers, "after the end: {action:?}");
            self.look_at(action);
        }
    }

    fn look_at(&mut self, action: Action) {
        match action {
            Action::Fork { slot, .. } => self.look_at_fork(slot),
            Action::Drain { worker, within } => {
                let process = &self.living[&worker];
                assert!(process.ready.is_some() && !process.told(), "{process:?}");
                assert_eq!(within, self.options.drain);
                self.look_whether_it_may_leave(process, worker);
                self.living.get_mut(&worker).unwrap().drained = Some(self.now);
            }
            Action::Signal { worker, signal: Signal::SIGKILL } => {
                let process = self.living.get_mut(&worker).unwrap();
                let over = process.terminated.is_some_and(|since| since + self.options.kill_timeout <= self.now);
                assert!(!process.killed && (over || self.at_once), "{process:?}");
                process.killed = true;
            }
            Action::Signal { worker, signal } => self.look_at_signal(worker, signal),
            Action::Diagnose { worker } => {
                let process = &self.living[&worker];
                assert!(process.ready.is_some() && process.quiet >= self.options.stuck_report.unwrap());
            }
            Action::Report(report) => self.look_at_report(&report),
            Action::Reloaded { .. } | Action::ReloadFailed(_) => {
                assert!(std::mem::take(&mut self.asked.reload), "nobody has asked for a reload");
                self.places.values_mut().for_each(|place| place.reloads = 0);
            }
            Action::Scaled { count } => {
                assert!(std::mem::take(&mut self.asked.scale), "nobody has asked for another number");
                assert_eq!(count, self.count);
                assert!(self.living.values().all(|process| process.slot < count));
                assert!(self.places.values().all(|place| !place.awaited));
            }
            Action::ScaleFailed(_) => {
                assert!(std::mem::take(&mut self.asked.scale), "nobody has asked for another number");
                self.places.values_mut().for_each(|place| place.awaited = false);
            }
            Action::End { .. } => {
                assert!(self.stopping && self.living.is_empty() && !self.asked.reload && !self.asked.scale);
                assert!(self.places.values().all(|place| place.fork.is_none()));
                self.ended = true;
            }
        }
    }

    /// Back-off and brake hold, and what is replaced by will is said before.
    fn look_at_fork(&mut self, slot: SlotNumber) {
        assert!(self.is_wanted(slot));
        let (now, budget) = (self.now, self.options.max_restarts.unwrap());
        let by_will = self.replacing.take();
        let place = self.places.get_mut(&slot).unwrap();
        assert_eq!(place.fork, None, "one fork at a time");
        if let Some((replaced, cause)) = by_will {
            assert_eq!(replaced, slot);
            self.cause = cause;
            place.fork = Some(Fork::Replace);
            return;
        }
        place.fork = Some(Fork::Fill);
        assert!(self.living.values().all(|process| process.slot != slot || !process.holds && !process.succeeds));
        if std::mem::take(&mut place.new) {
            return;
        }
        let pause = place.pause.take().expect("it was empty");
        assert!(self.started && now >= pause.since + pause.shortest, "too early: {pause:?}");
        self.restarts.push(now);
        let recent = self.restarts.iter().filter(|then| **then + budget.within > now).count();
        assert!(recent <= budget.count as usize, "the brake does not hold");
    }

    /// Nobody who serves is told to leave unless another one serves in the slot, or nobody is wanted.
    fn look_whether_it_may_leave(&self, process: &Process, worker: WorkerId) {
        let mut others = self.living.iter().filter(|(id, other)| **id != worker && other.slot == process.slot);
        assert!(!self.is_wanted(process.slot) || others.any(|(_, other)| other.serves()), "nobody serves: {self:#?}");
    }

    fn look_at_signal(&mut self, worker: WorkerId, signal: Signal) {
        let now = self.now;
        let process = &self.living[&worker];
        assert!(process.terminated.is_none() && !process.killed, "{process:?}");
        let over = |since: Option<u64>, span: u64| since.is_some_and(|since| since + span <= now);
        let wanted = self.is_wanted(process.slot) && (process.holds || process.succeeds);
        if signal == Signal::SIGABRT {
            assert!(process.ready.is_some() && self.options.stuck.is_some_and(|stuck| process.quiet >= stuck));
            self.look_whether_it_may_leave(process, worker);
        } else if process.drained.is_some() {
            assert!(process.disconnected.is_some() || over(process.drained, self.options.drain));
        } else if process.disconnected.is_some() {
            assert!(over(process.disconnected, self.options.kill_timeout) || process.late);
        } else {
            assert!(process.ready.is_none() && (process.late || !wanted), "{process:?}");
        }
        self.living.get_mut(&worker).unwrap().terminated = Some(now);
    }

    fn look_at_report(&mut self, report: &Report) {
        match (report.event, report.worker) {
            ("replacing", _) => self.look_at_replacement(report.slot.unwrap(), detail(report, "cause")),
            ("stopping", _) => {
                self.stopping = true;
                self.living.values_mut().for_each(|process| process.succeeds = false);
                for place in self.places.values_mut() {
                    place.fork = place.fork.map(|fork| if fork == Fork::Fill { fork } else { Fork::Cancelled });
                }
            }
            ("ready", Some(worker)) => {
                assert!(self.is_ready(&self.living[&worker]), "{worker} is not ready: {self:#?}");
                self.becomes_ready(worker);
            }
            ("not-ready", Some(worker)) => {
                let process = self.living.get_mut(&worker).unwrap();
                assert!(process.ready.is_none() && process.forked + self.options.ready_timeout.unwrap() <= self.now);
                process.late = true;
                if std::mem::take(&mut process.succeeds) {
                    let slot = process.slot;
                    self.successor_failed(slot);
                }
            }
            _ => {}
        }
    }

    /// A reload replaces each slot once, and a limit only whom has passed it.
    fn look_at_replacement(&mut self, slot: SlotNumber, cause: &str) {
        let mut holders = self.living.values().filter(|process| process.slot == slot && process.holds);
        match cause {
            "reload" => {
                assert!(self.asked.reload);
                let place = self.places.get_mut(&slot).unwrap();
                place.reloads += 1;
                assert_eq!(place.reloads, 1, "a second reload joins the first");
            }
            "stuck" => assert!(holders.any(|process| process.quiet >= self.options.stuck.unwrap())),
            "memory" => {
                let most = self.options.max_memory.unwrap();
                let passed = |memory: &[u64]| {
                    let below = memory.iter().position(|bytes| *bytes <= most);
                    below.is_some_and(|below| {
                        memory[below..].windows(3).any(|looks| looks.iter().all(|look| *look > most))
                    })
                };
                assert!(holders.any(|process| passed(&process.memory)));
            }
            "lifetime" => {
                let least = self.options.max_lifetime.unwrap() as f64 * (1.0 - self.options.jitter);
                assert!(
                    holders.any(|process| process.ready.is_some_and(|since| (self.now - since) as f64 >= least - 1.0))
                );
            }
            _ => {}
        }
        self.replacing = Some((slot, cause.to_owned()));
    }

    /// One at a time is replaced by will, nobody lives past a deadline, and no slot is forgotten.
    fn look_around(&self) {
        let (now, options) = (self.now, &self.options);
        let replaced = self.places.values().filter(|place| place.fork == Some(Fork::Replace)).count()
            + self.living.values().filter(|process| process.succeeds).count();
        assert!(replaced <= 1, "two are replaced at once: {self:#?}");
        for process in self.living.values().filter(|process| !process.killed) {
            let until = match (process.terminated, process.drained, process.disconnected, process.ready) {
                (Some(since), ..) => Some(since + options.kill_timeout),
                (_, Some(since), ..) => Some(since + options.drain),
                (_, _, Some(since), _) => Some(since + options.kill_timeout),
                (.., None) => options.ready_timeout.map(|timeout| process.forked + timeout),
                _ => None,
            };
            assert!(until.is_none_or(|until| now < until), "it lives past its deadline: {process:?}");
        }
        assert!(
            !self.living.values().any(|process| self.is_ready(process)),
            "one is ready, and was not seen: {self:#?}"
        );
        let recent = self.restarts.iter().filter(|then| **then + options.max_restarts.unwrap().within > now).count();
        let braked = recent >= options.max_restarts.unwrap().count as usize;
        for (slot, place) in self.places.iter().filter(|(slot, _)| self.is_wanted(**slot)) {
            let replaced = self.living.values().any(|process| process.slot == *slot && process.succeeds);
            let waits = place.fork.is_some() || replaced && !place.new;
            let due = place.new || place.pause.is_some_and(|pause| self.started && now >= pause.since + pause.longest);
            assert!(!due || waits || braked, "slot {slot} is forgotten: {self:#?}");
        }
        let rows = self.supervisor.status().rows;
        assert_eq!(rows.iter().filter(|row| row.worker.is_some()).count(), self.living.len());
    }
}
