//! I8: who is not a member reads and writes nothing, and cannot tell a conversation of others from
//! one that does not exist.

use std::time::Duration;

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

/// Every op that names a conversation.
fn ops(conv: &str) -> Vec<(&'static str, Value)> {
    let id = ids::fresh();
    vec![
        ("send", json!({"conv": conv, "client_msg_id": id, "text": "let me in"})),
        ("delivered", json!({"conv": conv, "seq": 1})),
        ("read", json!({"conv": conv, "seq": 1})),
        ("history", json!({"conv": conv})),
        ("history", json!({"conv": conv, "after": 1})),
        ("members", json!({"conv": conv})),
        ("add_members", json!({"conv": conv, "members": ["eve"], "client_msg_id": id})),
        ("remove_members", json!({"conv": conv, "members": ["ann"], "client_msg_id": id})),
        ("set_role", json!({"conv": conv, "user": "eve", "role": "owner", "client_msg_id": id})),
        ("rename", json!({"conv": conv, "name": "mine", "client_msg_id": id})),
        ("leave", json!({"conv": conv, "client_msg_id": id})),
    ]
}

/// The answer without what names the request.
fn shape(client: &mut Client, op: &str, fields: &Value) -> String {
    let mut answer = client.ask(op, fields);
    answer.as_object_mut().unwrap().remove("id");
    answer.to_string()
}

struct Scene {
    gateway: Gateway,
    ann: Client,
    eve: Client,
    group: String,
    direct: String,
}

fn scene() -> Scene {
    let gateway = Gateway::start_with(&["--ops-burst", "1000"]);
    let (mut ann, _) = Client::join(&gateway.url(), "ann", "phone");
    let (eve, _) = Client::join(&gateway.url(), "eve", "phone");
    let group = ann.create_group("secret plans", &["bob"]);
    ann.say(&group, "the treasure is under the oak");
    let fields = json!({"to": "bob", "client_msg_id": ids::fresh(), "text": "the oak by the well"});
    ann.ask_for("ack", "send", &fields);
    Scene { gateway, ann, eve, group, direct: ids::direct_conversation("ann", "bob") }
}

#[test]
fn not_a_member_and_no_such_conversation_answer_alike() {
    let mut scene = scene();
    let nowhere = ids::fresh();
    for ((op, of_others), (_, of_none)) in ops(&scene.group).into_iter().zip(ops(&nowhere)) {
        let theirs = shape(&mut scene.eve, op, &of_others);
        assert_eq!(theirs, shape(&mut scene.eve, op, &of_none), "{op}");
        assert!(theirs.contains("\"forbidden\""), "{op}: {theirs}");
        assert!(!theirs.contains(&scene.group) && !theirs.contains("secret"), "{op}: {theirs}");
    }
}

#[test]
fn a_direct_conversation_of_others_answers_like_none_too() {
    let mut scene = scene();
    let nobody = ids::direct_conversation("nobody", "no-one");
    for ((op, of_others), (_, of_none)) in ops(&scene.direct).into_iter().zip(ops(&nobody)) {
        assert_eq!(
            shape(&mut scene.eve, op, &of_others),
            shape(&mut scene.eve, op, &of_none),
            "{op}"
        );
    }
}

#[test]
fn sync_of_anothers_conversation_gives_what_sync_of_none_gives() {
    let mut scene = scene();
    let mut asked = |conv: &str| {
        let fields = json!({"convs": [{"conv": conv, "after": 0}]});
        shape(&mut scene.eve, "sync", &fields).replace(conv, "CONV")
    };
    let theirs = asked(&scene.group);
    assert_eq!(theirs, asked(&ids::fresh()));
    assert_eq!(theirs, r#"{"sync":{"convs":[{"conv":"CONV"}]}}"#, "its name alone comes back");
}

#[test]
fn nothing_changed_and_nothing_was_heard() {
    let mut scene = scene();
    let before = scene.ann.sync(&scene.group, 0);
    for (op, fields) in ops(&scene.group) {
        scene.eve.ask(op, &fields);
    }
    scene.ann.say(&scene.group, "still among us");
    assert!(scene.eve.pushed_within(Duration::from_millis(300)).is_none());
    let after = scene.ann.sync(&scene.group, 0);
    let count = |page: &Value| page["events"].as_array().unwrap().len();
    assert_eq!(count(&after), count(&before) + 1, "{after}");
    let page = scene.eve.ask_for("conversations", "conversations", &json!({}));
    assert_eq!(page["items"].as_array().map_or(0, Vec::len), 0, "{page}");
}

#[test]
fn before_hello_no_op_is_served() {
    let scene = scene();
    for (op, fields) in ops(&scene.group) {
        let mut nobody = Client::connect(&scene.gateway.url()).unwrap();
        let id = nobody.request(op, &fields);
        match nobody.answer(id) {
            Ok(answer) => assert_eq!(answer["error"]["code"], "unauthenticated", "{op}: {answer}"),
            Err(closed) => assert!(matches!(closed.code, Some(4400 | 4401)), "{op}: {closed:?}"),
        }
    }
}

/// The same time as well as the same words. No assertion on absolute time: the two kinds of answer
/// are asked in turn, and neither may be the slower one nearly always.
#[test]
fn the_answers_take_about_the_same_time() {
    let mut scene = scene();
    let time = |client: &mut Client, conv: &str| {
        let start = std::time::Instant::now();
        client.ask("history", &json!({"conv": conv}));
        start.elapsed()
    };
    let mut slower = 0;
    let rounds = 200;
    for _ in 0..rounds {
        std::thread::sleep(Duration::from_millis(15));
        let theirs = time(&mut scene.eve, &scene.group);
        let none = time(&mut scene.eve, &ids::fresh());
        slower += i32::from(theirs > none);
    }
    assert!((10..rounds - 10).contains(&slower), "slower {slower} times of {rounds}");
}
