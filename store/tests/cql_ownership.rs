//! Of handles that want the same thing one gets it, and whoever lost is told so for ever.
#![allow(clippy::unwrap_used)] // the lint's exception for tests does not see their helpers

mod cluster;
mod fixture;

use std::collections::BTreeSet;

use cluster::Keyspace;
use fixture::{append, conv, write_here};
use throng_store::cql::Cql;
use throng_store::{
    AppendOutcome, Busy, FenceOutcome, Ownership, OwnershipError, RouterId, Store, limits,
};

async fn router(keyspace: &Keyspace, number: u32) -> Cql {
    let address = format!("127.0.0.1:{number}");
    keyspace.open().await.register(RouterId(number), &address).await.unwrap()
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_partition_is_taken_from_the_fenced_and_from_nobody_else() {
    let keyspace = Keyspace::create("take").await;
    let (first, second) = (router(&keyspace, 1).await, router(&keyspace, 2).await);
    let owner = first.incarnation().unwrap();
    assert_eq!(first.take(7).await, Ok(1));
    assert_eq!(second.take(7).await, Err(OwnershipError::Held(owner)));
    assert_eq!(first.fence().await, FenceOutcome::Held);

    second.fence_off(owner).await.unwrap();
    assert_eq!(first.fence().await, FenceOutcome::Fenced);
    assert_eq!(second.take(7).await, Ok(2));
    let rows = second.partitions().await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].partition, rows[0].epoch), (7, 2));
    assert_eq!((Some(rows[0].owner), rows[0].heir), (second.incarnation(), None));
    let routers = second.routers().await.unwrap();
    let fenced: Vec<_> = routers.iter().map(|row| row.fenced_by).collect();
    assert_eq!(fenced, [Some(RouterId(2)), None]);
    assert_eq!(routers[0].address, "127.0.0.1:1");
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_fenced_handle_appends_nothing_more() {
    let keyspace = Keyspace::create("fenced").await;
    let (first, second) = (router(&keyspace, 1).await, router(&keyspace, 2).await);
    assert_eq!(write_here(&first, append(1, 1..=1, 1)).await, AppendOutcome::Ok);
    second.fence_off(first.incarnation().unwrap()).await.unwrap();
    assert_eq!(first.fence().await, FenceOutcome::Fenced);
    assert_eq!(write_here(&first, append(1, 2..=2, 1)).await, AppendOutcome::Fenced);
    assert_eq!(second.tail(conv(1), 9.into()).await.unwrap().len(), 1);

    let again = first.register(RouterId(1), "127.0.0.1:9").await.unwrap();
    assert_eq!(again.incarnation().unwrap().number, 2);
    assert_eq!(again.fence().await, FenceOutcome::Held);
    assert_eq!(first.fence().await, FenceOutcome::Fenced);
    assert_eq!(write_here(&again, append(1, 2..=2, 2)).await, AppendOutcome::Ok);
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_second_process_of_one_router_fences_the_first() {
    let keyspace = Keyspace::create("twice").await;
    let first = router(&keyspace, 1).await;
    assert_eq!(first.take(3).await, Ok(1));
    let second = router(&keyspace, 1).await;
    assert_eq!(first.fence().await, FenceOutcome::Fenced);
    assert_eq!(second.take(3).await, Ok(2));
    // What the first says afterwards is not taken for the second's.
    second.renew().await.unwrap();
    for _ in 0..3 {
        first.renew().await.unwrap();
    }
    assert_eq!(second.routers().await.unwrap()[0].renewal, 1);
    second.renew().await.unwrap();
    assert_eq!(first.routers().await.unwrap()[0].renewal, 2);
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_partition_that_was_handed_over_is_taken_without_a_fence() {
    let keyspace = Keyspace::create("hand_over").await;
    let (first, second) = (router(&keyspace, 1).await, router(&keyspace, 2).await);
    assert_eq!(first.take(9).await, Ok(1));
    first.hand_over(9, 1, RouterId(2)).await.unwrap();
    assert_eq!(first.partitions().await.unwrap()[0].heir, Some(RouterId(2)));
    assert_eq!(second.take(9).await, Ok(2));
    assert_eq!(first.fence().await, FenceOutcome::Held);
    assert_eq!(second.partitions().await.unwrap()[0].heir, None);

    let late = first.hand_over(9, 1, RouterId(2)).await;
    assert!(matches!(late, Err(OwnershipError::Lost(_))), "{late:?}");
    let held = first.take(9).await;
    assert_eq!(held, Err(OwnershipError::Held(second.incarnation().unwrap())));
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn routers_that_race_for_partitions_never_share_an_epoch() {
    let keyspace = Keyspace::create("race").await;
    let dead = router(&keyspace, 1).await;
    // Two whole slices, and some of a third.
    let wanted: Vec<u16> = (0..2 * limits::SLICE_PARTITIONS + 9).collect();
    for (_, epoch) in dead.take_many(wanted.clone()).await {
        assert_eq!(epoch, Ok(1));
    }
    let heirs = [router(&keyspace, 2).await, router(&keyspace, 3).await];
    let racers = heirs.clone().map(|heir| {
        let (wanted, dead) = (wanted.clone(), dead.incarnation().unwrap());
        tokio::spawn(async move {
            heir.fence_off(dead).await.unwrap();
            heir.take_many(wanted).await
        })
    });
    let mut taken: Vec<BTreeSet<u16>> = Vec::new();
    for racer in racers {
        let outcomes = racer.await.unwrap();
        assert_eq!(outcomes.iter().map(|(partition, _)| *partition).collect::<Vec<_>>(), wanted);
        let got = outcomes.into_iter().filter_map(|(partition, outcome)| match outcome {
            Ok(epoch) => Some((partition, epoch)),
            Err(OwnershipError::Lost(_) | OwnershipError::Held(_)) => None,
            Err(error) => panic!("{error}"),
        });
        taken.push(got.inspect(|(_, epoch)| assert_eq!(*epoch, 2)).map(|it| it.0).collect());
    }
    assert!(taken[0].is_disjoint(&taken[1]));
    assert_eq!(taken[0].len() + taken[1].len(), wanted.len());
    for row in heirs[0].partitions().await.unwrap() {
        let owner = &heirs[usize::from(taken[1].contains(&row.partition))];
        assert_eq!((row.epoch, Some(row.owner)), (2, owner.incarnation()));
    }
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn all_partitions_can_be_taken_at_once_and_one_more_does_not_exist() {
    let keyspace = Keyspace::create("all").await;
    let store = router(&keyspace, 1).await;
    let all: Vec<u16> = (0..=limits::PARTITIONS).collect();
    let outcomes = store.take_many(all).await;
    let taken = outcomes.iter().filter(|(_, outcome)| *outcome == Ok(1)).count();
    assert_eq!(taken, usize::from(limits::PARTITIONS));
    assert!(outcomes.last().unwrap().1.is_err());
    assert_eq!(store.partitions().await.unwrap().len(), usize::from(limits::PARTITIONS));
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn registrations_that_race_get_different_incarnations() {
    let keyspace = Keyspace::create("register").await;
    let store = keyspace.open().await;
    let racers: Vec<_> = (0..4)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.register(RouterId(5), "127.0.0.1:5").await })
        })
        .collect();
    let mut numbers = Vec::new();
    for racer in racers {
        match racer.await.unwrap() {
            Ok(handle) => numbers.push(handle.incarnation().unwrap().number),
            Err(OwnershipError::Lost(_) | OwnershipError::Unknown(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert!(!numbers.is_empty() && distinct.len() == numbers.len(), "{numbers:?}");
}

#[tokio::test]
#[ignore = "needs a cluster: tests/run cassandra"]
async fn a_handle_that_is_not_registered_reads_and_owns_nothing() {
    let keyspace = Keyspace::create("reader").await;
    let reader = keyspace.open().await;
    assert_eq!(reader.incarnation(), None);
    assert_eq!(reader.fence().await, FenceOutcome::Fenced);
    assert_eq!(reader.take(1).await, Err(OwnershipError::Unregistered));
    let (outcomes, _receiver) = fixture::outcomes();
    let refused = reader.append(append(1, 1..=1, 1), 1, &outcomes);
    assert!(matches!(refused, Err(Busy(_))));
    assert!(reader.tail(conv(1), 9.into()).await.unwrap().is_empty());
    assert!(reader.routers().await.unwrap().is_empty());
}
