use std::collections::{HashMap, HashSet};

use super::*;

fn cast(shard: u32, shards: u32, devices: u32) -> Cast {
    let manners = Manners {
        users: 101,
        devices,
        direct: 0.5,
        pairs: Pairs::Random,
        sizes: "2:50%,10:30%,60:20%".parse().unwrap(),
        groups: 230,
        owners_speak: false,
    };
    Cast::new(manners, 1, ShardInfo { shard, shards, clients: 101 * devices, seed: 7 })
}

#[test]
fn every_group_has_exactly_one_owning_shard_and_all_shards_agree_on_its_members() {
    for shards in [1, 2, 3, 8] {
        let mut owners = HashMap::new();
        for shard in 0..shards {
            for group in cast(shard, shards, 1).own_groups() {
                assert!(owners.insert(group.number, shard).is_none());
                assert_eq!(group, cast(0, shards, 1).group(group.number));
                assert!(cast(shard, shards, 1).is_own(ClientId(group.owner)));
            }
        }
        assert_eq!(owners.len(), 230, "{shards} shards");
    }
}

#[test]
fn a_group_has_as_many_different_members_as_its_size_says_and_its_owner() {
    for shards in [1, 2, 3, 8] {
        let cast = cast(0, shards, 1);
        for group in (0..230).map(|number| cast.group(number)) {
            let members: HashSet<_> = group.members().collect();
            assert_eq!(members.len() as u32, group.size);
            assert!(members.contains(&group.owner) && members.iter().all(|&user| user < 101));
        }
    }
}

#[test]
fn sizes_have_their_shares_and_small_groups_lie_within_their_shard() {
    let cast = cast(0, 2, 1);
    let sizes: Vec<_> = (0..230).map(|number| cast.group(number).size).collect();
    let count = |size| sizes.iter().filter(|&&other| other == size).count();
    assert_eq!((count(2), count(10), count(60)), (115, 69, 46));
    assert!(cast.own_groups().all(|group| (group.size == 60) != cast.is_within(group)));
}

#[test]
fn a_message_is_said_by_a_client_of_its_shard_who_is_a_member_and_not_to_itself() {
    for (shards, devices) in [(1, 1), (3, 1), (3, 2), (8, 3)] {
        let cast = cast(1 % shards, shards, devices);
        for i in 0..2_000 {
            match cast.message(i) {
                Intent::Direct { sender, peer } => {
                    assert_eq!(u64::from(cast.shard(sender)), i % u64::from(shards));
                    assert!(sender.0 < 101 * devices && peer < 101);
                    assert_ne!(cast.user(sender), peer);
                }
                Intent::Group { sender, group } => {
                    let group = cast.group(group);
                    assert_eq!(u64::from(cast.shard(sender)), i % u64::from(shards));
                    assert_eq!(cast.shard(ClientId(group.owner)), cast.shard(sender));
                    assert!(group.members().any(|user| user == cast.user(sender)));
                }
            }
        }
    }
}

#[test]
fn all_shards_see_the_same_messages() {
    for i in 0..1_000 {
        assert_eq!(cast(0, 4, 2).message(i), cast(3, 4, 2).message(i));
    }
}

#[test]
fn names_are_of_the_run() {
    let cast = cast(0, 2, 2);
    assert_eq!(cast.named(&cast.name(100)), Some(100));
    assert_eq!(cast.named("b00000000-1"), None);
    assert_eq!(cast.named(&cast.name(101)), None);
    assert!(throng_wire::id::is_name(&cast.name(u32::MAX)));
    assert_eq!(cast.clients(5).map(|client| cast.user(client)).collect::<Vec<_>>(), [5, 5]);
}
