//! Processes that do what they like. What the supervisor has promised about them is in `promises.rs`.

use std::collections::{BTreeMap, BTreeSet};

use rust_cluster::supervisor::{Event, Exit, Millis, Options, SlotNumber, Supervisor, WorkerId};

use super::Step;

/// A worker, as the world sees it.
#[derive(Debug, Default)]
pub struct Process {
    pub slot: SlotNumber,
    pub forked: Millis,
    /// It fills its slot.
    pub holds: bool,
    /// It is to fill it once it is ready, in the place of another one.
    pub succeeds: bool,
    pub listens: BTreeSet<u8>,
    pub said_ready: bool,
    pub ready: Option<Millis>,
    pub disconnected: Option<Millis>,
    pub drained: Option<Millis>,
    pub terminated: Option<Millis>,
    pub killed: bool,
    /// It was not ready in time.
    pub late: bool,
    pub quiet: Millis,
    pub memory: Vec<u64>,
}

impl Process {
    /// It was told to leave.
    pub fn told(&self) -> bool {
        self.drained.is_some() || self.terminated.is_some() || self.killed
    }

    pub fn serves(&self) -> bool {
        self.ready.is_some() && self.disconnected.is_none() && !self.told()
    }
}

/// What a fork that is not answered is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    Fill,
    Replace,
    /// To replace what is not there any more.
    Cancelled,
}

/// A pause: since when, and the shortest and the longest that is due.
#[derive(Debug, Clone, Copy)]
pub struct Pause {
    pub since: Millis,
    pub shortest: Millis,
    pub longest: Millis,
}

/// A slot, as the world sees it.
#[derive(Debug, Default)]
pub struct Place {
    /// It is to be filled for the first time.
    pub new: bool,
    /// It was added, and has not been ready.
    pub awaited: bool,
    pub fork: Option<Fork>,
    /// Where its last ready worker listened.
    pub listened: BTreeSet<u8>,
    /// Failures that the back-off has not forgotten.
    pub failures: u32,
    /// Its holder died: it is filled again after this.
    pub pause: Option<Pause>,
    /// Its holder died before any worker had been ready.
    pub failed: bool,
    pub down: bool,
    /// How often the reload under way has replaced it.
    pub reloads: u32,
}

/// What was asked for, and not answered.
#[derive(Debug, Default)]
pub struct Asked {
    pub reload: bool,
    pub scale: bool,
}

/// All that there is.
#[derive(Debug)]
pub struct House {
    pub supervisor: Supervisor,
    pub options: Options,
    pub now: Millis,
    pub count: u32,
    pub places: BTreeMap<SlotNumber, Place>,
    pub living: BTreeMap<WorkerId, Process>,
    last_worker: WorkerId,
    pub asked: Asked,
    pub restarts: Vec<Millis>,
    /// A worker has been ready.
    pub started: bool,
    pub stopping: bool,
    /// It was asked to stop at once.
    pub at_once: bool,
    pub ended: bool,
    /// What the last report said is replaced, and why.
    pub replacing: Option<(SlotNumber, String)>,
    /// Why the replacement under way is made.
    pub cause: String,
}

impl House {
    pub fn new(options: Options, seed: u64) -> House {
        let mut house = House {
            supervisor: Supervisor::new(options.clone(), seed),
            count: options.workers,
            options,
            now: 0,
            places: BTreeMap::new(),
            living: BTreeMap::new(),
            last_worker: 0,
            asked: Asked::default(),
            restarts: Vec::new(),
            started: false,
            stopping: false,
            at_once: false,
            ended: false,
            replacing: None,
            cause: String::new(),
        };
        house.renew(0);
        house.tell(Event::Start);
        house
    }

    /// The slots from `first` on are new.
    fn renew(&mut self, first: u32) {
        for slot in first..self.count {
            let place = self.places.entry(slot).or_default();
            place.new = place.fork != Some(Fork::Fill);
            (place.down, place.failed, place.pause) = (false, false, None);
        }
    }

    fn nth(&self, place: usize) -> Option<WorkerId> {
        self.living.keys().nth(place % self.living.len().max(1)).copied()
    }

    fn process(&mut self, worker: WorkerId) -> &mut Process {
        self.living.get_mut(&worker).unwrap()
    }

    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Answer(starts) => self.answer(starts),
            Step::Listen(place, address) => drop(self.nth(place).map(|worker| self.listen(worker, address))),
            Step::SayReady(place) => drop(self.nth(place).map(|worker| self.say_ready(worker))),
            Step::BecomeReady(place) => drop(self.nth(place).map(|worker| self.become_ready(worker))),
            Step::Disconnect(place) => drop(self.nth(place).map(|worker| self.disconnect(worker))),
            Step::Exit(place, code) => drop(self.nth(place).map(|worker| self.exit(worker, code))),
            Step::Quiet(place, time) => drop(self.nth(place).map(|worker| self.quiet(worker, time))),
            Step::Memory(place, bytes) => drop(self.nth(place).map(|worker| self.memory(worker, bytes))),
            Step::Connections(place, count) => {
                self.nth(place).into_iter().for_each(|worker| self.tell(Event::Connections { worker, count }));
            }
            Step::Reload => self.reload(None),
            Step::ReloadOne(place) => drop(self.nth(place).map(|worker| self.reload(Some(worker)))),
            Step::Scale(count) => self.scale(count),
            Step::Stop(now) => self.stop(now),
            Step::Pass(time) => self.pass(time),
            Step::Sleep(time) => {
                self.now += time;
                self.tell(Event::Time);
            }
            Step::Late(place, kind) => self.tell_late(place, kind),
        }
    }

    fn answer(&mut self, starts: bool) {
        let Some((&slot, place)) = self.places.iter_mut().find(|(_, place)| place.fork.is_some()) else { return };
        let fork = place.fork.take();
        if !starts {
            match fork {
                Some(Fork::Fill) => self.vacate(slot, None),
                Some(Fork::Replace) => self.successor_failed(slot),
                _ => {}
            }
            return self.tell(Event::ForkFailed { slot, why: "EAGAIN".into() });
        }
        self.last_worker += 1;
        let (holds, succeeds) = (fork == Some(Fork::Fill) && self.is_wanted(slot), fork == Some(Fork::Replace));
        let process = Process { slot, holds, succeeds, forked: self.now, ..Process::default() };
        self.living.insert(self.last_worker, process);
        self.tell(Event::Forked { slot, worker: self.last_worker });
    }

    pub fn is_wanted(&self, slot: SlotNumber) -> bool {
        slot < self.count && !self.stopping
    }

    /// The rule: it listens where the last one did, as far as somebody serves there, or at all, and has said so if that
    /// is asked.
    pub fn is_ready(&self, process: &Process) -> bool {
        let asked = self.options.wait_ready;
        let served = |address: &u8| self.living.values().any(|other| other.serves() && other.listens.contains(address));
        let wanted: BTreeSet<_> = self.places[&process.slot].listened.iter().copied().filter(served).collect();
        let listens = !process.listens.is_empty() || !wanted.is_empty() || asked;
        let boots = process.ready.is_none() && process.disconnected.is_none() && !process.told();
        boots && listens && wanted.is_subset(&process.listens) && (!asked || process.said_ready)
    }

    /// The supervisor says that a worker is ready.
    pub fn becomes_ready(&mut self, worker: WorkerId) {
        let now = self.now;
        let process = self.process(worker);
        let slot = process.slot;
        process.ready = Some(now);
        if std::mem::take(&mut process.succeeds) {
            self.living.values_mut().filter(|other| other.slot == slot).for_each(|other| other.holds = false);
            self.process(worker).holds = true;
            let place = self.places.get_mut(&slot).unwrap();
            (place.pause, place.down, place.failed) = (None, false, false);
        }
        self.places.get_mut(&slot).unwrap().awaited = false;
        self.remember(worker);
        if !std::mem::replace(&mut self.started, true) {
            let failed: Vec<_> = self.places.iter().filter(|(_, place)| place.failed).map(|(slot, _)| *slot).collect();
            for slot in failed {
                if self.is_wanted(slot) {
                    self.pause(slot);
                }
            }
        }
    }

    fn remember(&mut self, worker: WorkerId) {
        let Some(process) = self.living.get(&worker).filter(|process| process.holds && process.serves()) else {
            return;
        };
        self.places.get_mut(&process.slot).unwrap().listened = process.listens.clone();
    }

    fn listen(&mut self, worker: WorkerId, address: u8) {
        self.process(worker).listens.insert(address);
        self.remember(worker);
        self.tell(Event::Listening { worker, address: format!("{address}") });
    }

    fn say_ready(&mut self, worker: WorkerId) {
        self.process(worker).said_ready = true;
        self.tell(Event::Ready { worker });
    }

    fn become_ready(&mut self, worker: WorkerId) {
        let mut addresses = self.places[&self.living[&worker].slot].listened.clone();
        addresses.insert(0);
        addresses.into_iter().for_each(|address| self.listen(worker, address));
        self.say_ready(worker);
    }

    fn disconnect(&mut self, worker: WorkerId) {
        let now = self.now;
        self.process(worker).disconnected.get_or_insert(now);
        self.tell(Event::Disconnected { worker });
    }

    fn quiet(&mut self, worker: WorkerId, time: Millis) {
        let process = self.process(worker);
        if process.ready.is_some() {
            process.quiet = time;
        }
        self.tell(Event::Quiet { worker, duration: time });
    }

    fn memory(&mut self, worker: WorkerId, bytes: u64) {
        let process = self.process(worker);
        if process.serves() {
            process.memory.push(bytes);
        }
        self.tell(Event::Memory { worker, bytes });
    }

    fn exit(&mut self, worker: WorkerId, code: i32) {
        let process = self.living.remove(&worker).unwrap();
        if process.ready.is_some_and(|since| self.now - since >= self.options.stable_after) && process.holds {
            self.places.get_mut(&process.slot).unwrap().failures = 0;
        }
        let signal = process.killed.then(|| "SIGKILL".to_owned());
        if process.holds {
            let code = if process.late {
                1
            } else if process.killed {
                137
            } else {
                code
            };
            self.vacate(process.slot, Some(code));
        } else if process.succeeds {
            self.successor_failed(process.slot);
        }
        let exit = Exit { code: Some(code).filter(|_| signal.is_none()), signal };
        self.tell(Event::Exited { worker, exit });
    }

    /// Nobody fills a slot any more.
    fn vacate(&mut self, slot: SlotNumber, code: Option<i32>) {
        if !self.is_wanted(slot) {
            return;
        }
        let started = self.started;
        let place = self.places.get_mut(&slot).unwrap();
        if code.is_some_and(|code| self.options.stay_down.contains(&code)) {
            place.down = true;
        } else if started {
            self.pause(slot);
        } else {
            place.failed = true;
        }
    }

    /// The back-off, naively.
    fn pause(&mut self, slot: SlotNumber) {
        let (first, most) = (self.options.backoff.first, self.options.backoff.most);
        let place = self.places.get_mut(&slot).unwrap();
        let longest = (0..place.failures).fold(first, |pause, _| (pause * 2).min(most)).min(most);
        place.failures += 1;
        place.failed = false;
        let shortest = longest - (longest as f64 * self.options.jitter).ceil() as Millis;
        place.pause = Some(Pause { since: self.now, shortest, longest });
    }

    pub fn successor_failed(&mut self, slot: SlotNumber) {
        if self.cause != "reload" {
            self.places.get_mut(&slot).unwrap().failures += 1;
        }
    }

    fn reload(&mut self, worker: Option<WorkerId>) {
        self.asked.reload = true;
        self.tell(Event::Reload { worker });
    }

    fn scale(&mut self, count: u32) {
        self.asked.scale = true;
        if count > 0 && !self.stopping {
            let old = std::mem::replace(&mut self.count, count);
            self.renew(old);
            for (slot, place) in &mut self.places {
                place.awaited = *slot < count && (place.awaited || *slot >= old);
                if *slot >= count {
                    place.fork = place.fork.map(|fork| if fork == Fork::Fill { fork } else { Fork::Cancelled });
                    (place.new, place.pause) = (false, None);
                }
            }
            for process in self.living.values_mut().filter(|process| process.slot >= count) {
                (process.holds, process.succeeds) = (false, false);
            }
        }
        self.tell(Event::Scale { count });
    }

    fn stop(&mut self, now: bool) {
        self.at_once |= now || self.stopping;
        self.tell(Event::Stop { now });
    }

    fn pass(&mut self, time: Millis) {
        let end = self.now + time;
        while let Some(at) = self.supervisor.deadline().filter(|at| *at <= end) {
            self.now = at;
            self.tell(Event::Time);
        }
        self.now = end;
        self.tell(Event::Time);
    }

    /// Nothing of this is about anybody.
    fn tell_late(&mut self, place: usize, kind: u8) {
        let worker = (0..).filter(|id| !self.living.contains_key(id)).nth(place).unwrap();
        let idle = (0..).find(|slot| self.places.get(slot).is_none_or(|place| place.fork.is_none())).unwrap();
        let living = self.nth(place).unwrap_or(worker);
        self.tell(match kind % 10 {
            0 => Event::Online { worker },
            1 => Event::Listening { worker, address: "9".into() },
            2 => Event::Ready { worker },
            3 => Event::Disconnected { worker },
            4 => Event::Exited { worker, exit: Exit { code: Some(1), signal: None } },
            5 => Event::Quiet { worker, duration: 100_000 },
            6 => Event::Memory { worker, bytes: u64::MAX },
            7 => Event::Forked { slot: idle, worker },
            8 => Event::Forked { slot: idle, worker: living },
            _ => Event::ForkFailed { slot: idle, why: "EAGAIN".into() },
        });
    }

    /// Nobody fails any more: all that was asked for is done, and who is wanted serves.
    pub fn calm_down(&mut self) {
        for _ in 0..1000 {
            if self.stopping || self.is_well() {
                return;
            }
            while self.places.values().any(|place| place.fork.is_some()) {
                self.answer(true);
            }
            for worker in self.living.keys().copied().collect::<Vec<_>>() {
                let process = &self.living[&worker];
                if process.told() || process.disconnected.is_some() {
                    self.exit(worker, 0);
                } else {
                    self.quiet(worker, 0);
                    self.become_ready(worker);
                }
            }
            self.pass(100);
        }
        panic!("it does not come to rest: {self:#?}");
    }

    fn is_well(&self) -> bool {
        let serves = |slot| self.living.values().any(|process| process.slot == slot && process.serves());
        let never = self.options.max_restarts.unwrap().count == 0;
        let down = |place: &Place| place.down || never && place.pause.is_some();
        let well = |slot| serves(slot) || down(&self.places[&slot]);
        !self.asked.reload && !self.asked.scale && (0..self.count).all(well)
    }

    /// It stops, and nobody leaves who is not killed.
    pub fn end(&mut self) {
        if !self.stopping {
            self.stop(false);
        }
        let Options { shutdown_delay, drain, kill_timeout, .. } = self.options;
        let most = shutdown_delay + drain.max(kill_timeout) + kill_timeout;
        let end = self.now + most;
        while !self.ended && self.now <= end {
            while self.places.values().any(|place| place.fork.is_some()) {
                self.answer(true);
            }
            let killed: Vec<_> = self.living.iter().filter(|(_, process)| process.killed).map(|(id, _)| *id).collect();
            killed.into_iter().for_each(|worker| self.exit(worker, 0));
            self.pass(50);
        }
        // Whoever was killed with the last deadline.
        let killed: Vec<_> = self.living.iter().filter(|(_, process)| process.killed).map(|(id, _)| *id).collect();
        killed.into_iter().for_each(|worker| self.exit(worker, 0));
        assert!(self.ended, "it does not end: {self:#?}");
        self.reload(None);
        self.scale(2);
        self.stop(true);
        self.pass(1_000_000);
    }
}
