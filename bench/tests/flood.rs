//! A flood over the simulated driver: everybody comes, stays alive, and goes; the books balance.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::simulated::{Came, Served, Simulation};
use throng_bench::generator::{Arrival, Beat, Cause, Counter, Heartbeat, Metric};
use throng_bench::workload::flood::{Flood, FloodPlan, Shares};
use throng_bench::workload::greeting::Greeting;
use throng_ring::Arm;
use throng_ring::sim::{Faults, SimConfig};
use throng_wire::ws::Opcode;

const CLIENTS: u32 = 200;

fn plan() -> FloodPlan {
    FloodPlan {
        arrival: Arrival::Constant { rate: 1000.0 },
        greeting: Greeting::Message(Opcode::Text, b"hello".to_vec()),
        hold: Duration::from_secs(5),
        mean_life: None,
        shares: Shares::default(),
    }
}

fn flood(plan: FloodPlan, heartbeat: Option<Heartbeat>) -> Simulation<Flood> {
    let change = |settings: &mut throng_bench::generator::Settings| {
        settings.cold = true;
        settings.heartbeat = heartbeat;
    };
    Simulation::new(CLIENTS, change, |info, now| Flood::new(plan, info, now))
}

fn heartbeat(interval: Duration) -> Option<Heartbeat> {
    Some(Heartbeat { interval, beat: Beat::Ping })
}

/// Started = asked + failed.
fn assert_books(simulation: &mut Simulation<Flood>) {
    let total = simulation.total();
    let [started, asked, failed] =
        [Counter::Started, Counter::ClosedAsAsked, Counter::Failed].map(|name| total.count(name));
    assert_eq!((started, total.open), (asked + failed, 0));
}

#[test]
fn all_come_on_schedule_wait_cold_beat_and_go() {
    let mut simulation = flood(plan(), heartbeat(Duration::from_secs(1)));
    simulation.run_for(Duration::from_millis(4_500), |served, _| served.echo());
    assert!(!simulation.shard.is_done(), "the hold is not over");
    assert_eq!(simulation.total().open, u64::from(CLIENTS));
    let cold = simulation.served.iter().filter(|served| served.peer.armed() == Arm::Cold).count();
    assert!(cold as u32 > CLIENTS * 9 / 10, "{cold} of {CLIENTS} wait cold");
    simulation.run_for(Duration::from_secs(2), |served, _| served.echo());
    assert!(simulation.shard.is_done());
    simulation.close_all(|served, _| served.echo());
    assert_books(&mut simulation);
    let total = simulation.total();
    assert_eq!(total.count(Counter::Established), u64::from(CLIENTS));
    assert_eq!(total.count(Counter::Failed), 0);
    // About 6 s at one a second.
    let (sent, answered) =
        (total.count(Counter::HeartbeatsSent), total.count(Counter::HeartbeatsAnswered));
    let expected = 6 * u64::from(CLIENTS);
    assert!((expected * 8 / 10..=expected * 11 / 10).contains(&sent), "{sent} beats");
    assert!(sent - answered <= u64::from(CLIENTS) / 10, "{answered} of {sent} answered");
    let establish = total.times(Metric::Establish).unwrap();
    assert_eq!(establish.len(), u64::from(CLIENTS));
}

#[test]
fn beats_of_clients_that_came_together_are_spread() {
    let mut beats = vec![0; 10];
    let mut simulation = flood(plan(), heartbeat(Duration::from_secs(1)));
    simulation.run_for(Duration::from_secs(4), |served, now| {
        if !served.upgraded {
            served.upgrade();
            return;
        }
        for came in served.take() {
            match came {
                Came::Ping => {
                    served.send(Opcode::Pong, &[]);
                    beats[now.subsec_millis() as usize / 100] += 1;
                }
                _ => served.send(Opcode::Text, b"welcome"),
            }
        }
    });
    let (least, most) = (beats.iter().min().unwrap(), beats.iter().max().unwrap());
    assert!(*least > 0 && most < &(4 * least), "{beats:?}");
}

#[test]
fn a_server_that_answers_no_beat_loses_its_clients() {
    let mut simulation = flood(plan(), heartbeat(Duration::from_secs(1)));
    simulation.run_for(Duration::from_secs(4), |served, _| {
        if served.upgraded {
            let came = served.take();
            if came.iter().any(|came| matches!(came, Came::Message(..))) {
                served.send(Opcode::Text, b"welcome");
            }
        } else {
            served.upgrade();
        }
    });
    let failures: Vec<_> = simulation.total().failures().collect();
    assert_eq!(failures, [(Cause::HeartbeatTimeout, 0, u64::from(CLIENTS))]);
    simulation.close_all(|served, _| served.echo());
    assert_books(&mut simulation);
}

#[test]
fn lives_end_and_clients_come_again() {
    let plan = FloodPlan { mean_life: Some(Duration::from_secs(1)), ..plan() };
    let mut simulation = flood(plan, None);
    simulation.run_for(Duration::from_secs(5), |served, _| served.echo());
    let total = simulation.total();
    assert_eq!(total.count(Counter::Failed), 0);
    // 200 clients for almost 5 s at one life a second each.
    let again = total.count(Counter::Started) - u64::from(CLIENTS);
    assert!((750..1100).contains(&again), "{again} came again");
    assert!(total.open > u64::from(CLIENTS) * 9 / 10);
    simulation.close_all(|served, _| served.echo());
    assert_books(&mut simulation);
}

#[test]
fn silent_and_half_open_peers_are_no_failures() {
    let shares = Shares { silent: 0.2, slow: 0.2, half_open: 0.4 };
    let mut simulation = flood(FloodPlan { shares, ..plan() }, None);
    // The server gives up who has not asked for the upgrade after 2 s, or greeted after 3 s.
    let mut act = |served: &mut Served, now: Duration| {
        served.echo();
        if now > Duration::from_secs(2) && !served.upgraded {
            served.peer.reset();
            served.closed = true;
        } else if now > Duration::from_secs(3) && !served.greeted {
            served.close();
        }
    };
    simulation.run_for(Duration::from_secs(4), &mut act);
    let total = simulation.total();
    assert_eq!(total.failures().count(), 0, "{:?}", total.failures().collect::<Vec<_>>());
    let established = total.count(Counter::Established);
    assert!((90..150).contains(&established), "three in five are whole: {established}");
    simulation.close_all(|served, _| served.echo());
    assert_books(&mut simulation);
}

#[test]
fn a_run_of_the_driver_at_its_worst_keeps_the_books() {
    for seed in 0..6 {
        let faults = Faults {
            short_send: 100,
            delay: 200,
            delay_max: Duration::from_millis(20),
            reorder: 200,
            no_buffers: 100,
            overflow: 100,
            cancel_miss: 200,
            reset: 1,
            ..Faults::default()
        };
        let config = SimConfig { seed, faults, ..SimConfig::default() };
        let change = |settings: &mut throng_bench::generator::Settings| {
            settings.cold = true;
            settings.heartbeat = heartbeat(Duration::from_millis(300));
        };
        let plan = FloodPlan { mean_life: Some(Duration::from_secs(1)), ..plan() };
        let mut simulation =
            Simulation::over(config, 50, change, |info, now| Flood::new(plan, info, now));
        simulation.run_for(Duration::from_secs(3), |served, _| served.echo());
        simulation.close_all(|served, _| served.echo());
        assert_books(&mut simulation);
        let total = simulation.total();
        assert!(total.count(Counter::Established) >= 40, "seed {seed}");
        assert_eq!(simulation.sim.armed(), 0, "seed {seed}: operations are left");
    }
}
