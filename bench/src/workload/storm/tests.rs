use super::*;
use crate::workload::chat::testing::FakeTurn;

const CLIENTS: u32 = 40;

fn plan() -> StormPlan {
    StormPlan {
        connects: "1000".parse().unwrap(),
        greeting: Greeting::Throng { prefix: "storm-".to_owned(), is_proto: false },
        cut_at: Duration::from_secs(2),
        share: 0.5,
        within: Duration::from_secs(4),
        after: Duration::from_secs(1),
        pings: "100".parse().unwrap(),
    }
}

struct Rig {
    storm: Storm,
    turn: FakeTurn,
    windows: Windows,
}

impl Rig {
    fn new() -> Self {
        let info = ShardInfo { shard: 0, shards: 1, clients: CLIENTS, seed: 3 };
        let windows = Windows::default();
        let storm = Storm::new(plan(), info, windows.clone());
        Self { storm, turn: FakeTurn::new(Instant::now()), windows }
    }

    /// Goes on in steps of 10 ms; who connects is welcomed, and pings are answered, 1 ms later.
    fn pass(&mut self, time: Duration) {
        let end = self.turn.now + time;
        while self.turn.now < end {
            self.turn.pass(Duration::from_millis(9));
            self.storm.due(&mut self.turn);
            self.turn.pass(Duration::from_millis(1));
            for client in std::mem::take(&mut self.turn.opened) {
                self.storm.opened(&mut self.turn, client);
            }
            for (client, text) in std::mem::take(&mut self.turn.sent) {
                let answer = text.replace("ping", "pong").replace("hello", "welcome");
                let payload = answer.as_bytes();
                self.storm.message(&mut self.turn, client, Opcode::Text, payload);
            }
            for client in std::mem::take(&mut self.turn.closed) {
                assert!(self.storm.is_chosen(client));
                self.turn.established.remove(&client);
                self.storm.ended(&mut self.turn, client, End::AsAsked);
            }
        }
    }

    fn returned(&self) -> Option<(u64, Duration)> {
        let times = self.turn.sample.times(Metric::Return)?;
        Some((times.len(), Duration::from_nanos(times.max())))
    }
}

#[test]
fn the_chosen_are_cut_at_the_moment_and_all_come_back_within_the_time() {
    let mut rig = Rig::new();
    let all = (0..CLIENTS).map(ClientId);
    let chosen = all.filter(|client| rig.storm.is_chosen(*client)).count() as u64;
    assert!((10..30).contains(&chosen));
    rig.pass(Duration::from_millis(1_990));
    assert_eq!((rig.turn.established.len() as u32, rig.returned()), (CLIENTS, None));
    rig.pass(Duration::from_millis(100));
    assert!(rig.turn.established.len() as u64 <= u64::from(CLIENTS) - chosen + 4);
    rig.pass(Duration::from_secs(5));
    let (count, last) = rig.returned().unwrap();
    assert_eq!((count, rig.turn.established.len() as u32), (chosen, CLIENTS));
    assert!(last > Duration::from_secs(3) && last < Duration::from_millis(4_050), "{last:?}");
    assert!(rig.storm.is_done());
}

#[test]
fn pings_of_others_go_on_and_their_answers_are_kept_apart_by_the_moment_they_were_due() {
    let mut rig = Rig::new();
    rig.pass(Duration::from_secs(7));
    rig.storm.stopping(&mut rig.turn);
    let counts = rig.windows.sums().map(|sample| sample.times(Metric::Echo).unwrap().len());
    assert!(counts[0] >= 195 && counts[0] <= 200, "{counts:?}");
    assert!(counts[1] > 250 && counts[1] < 420, "{counts:?}");
    assert_eq!(counts.iter().sum::<u64>(), rig.turn.sample.times(Metric::Echo).unwrap().len());
}

#[test]
fn who_fails_on_the_way_back_waits_longer_each_time() {
    let mut rig = Rig::new();
    rig.pass(Duration::from_secs(1));
    let end = End::Failed { cause: Cause::Refused, detail: 0 };
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        rig.storm.ended(&mut rig.turn, ClientId(0), end);
        let Reverse((at, _)) = rig.storm.returns.pop().unwrap();
        let pause = at - rig.turn.now;
        let least = Duration::from_secs(seconds);
        assert!(pause >= least && pause < 2 * least, "{pause:?}");
    }
}
