//! Roles and membership: who may do what, what each change leaves in the log, and what a member who
//! joined, left or came back may read.

use serde_json::{Value, json};
use throng_tests::client::Client;
use throng_tests::gateway::Gateway;
use throng_tests::ids;

struct Scene {
    _gateway: Gateway,
    /// The creator.
    owner: Client,
    admin: Client,
    member: Client,
    stranger: Client,
    conv: String,
}

fn scene() -> Scene {
    let gateway = Gateway::start_with(&["--ops-burst", "1000"]);
    let join = |user: &str| Client::join(&gateway.url(), user, "phone").0;
    let (mut owner, admin, member, stranger) =
        (join("owner"), join("admin"), join("member"), join("stranger"));
    let conv = owner.create_group("tea", &["admin", "member", "target"]);
    owner.ask_for("ack", "set_role", &role(&conv, "admin", "admin"));
    Scene { _gateway: gateway, owner, admin, member, stranger, conv }
}

fn role(conv: &str, user: &str, role: &str) -> Value {
    json!({"conv": conv, "user": user, "role": role, "client_msg_id": ids::fresh()})
}

fn members(conv: &str, members: &[&str]) -> Value {
    json!({"conv": conv, "members": members, "client_msg_id": ids::fresh()})
}

fn roster(client: &mut Client, conv: &str) -> Vec<(String, String)> {
    let page = client.ask_for("members", "members", &json!({"conv": conv, "limit": 200}));
    let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<(String, String)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (text(item, "user"), text(item, "role")))
        .collect();
    found.sort();
    found
}

fn pair(user: &str, role: &str) -> (String, String) {
    (user.to_owned(), role.to_owned())
}

fn is_refused(client: &mut Client, op: &str, fields: &Value) -> bool {
    let answer = client.ask(op, fields);
    match (answer.get("ack"), answer["error"]["code"].as_str()) {
        (Some(_), _) => false,
        (None, Some("forbidden")) => true,
        _ => panic!("{op} {fields} got {answer}"),
    }
}

#[test]
fn the_creator_owns_and_the_others_are_members() {
    let mut scene = scene();
    let expected = [
        pair("admin", "admin"),
        pair("member", "member"),
        pair("owner", "owner"),
        pair("target", "member"),
    ];
    assert_eq!(roster(&mut scene.member, &scene.conv), expected);
}

#[test]
fn who_may_change_members_is_a_matter_of_role() {
    let mut scene = scene();
    let conv = scene.conv.clone();
    for (client, may) in [
        (&mut scene.owner, true),
        (&mut scene.admin, true),
        (&mut scene.member, false),
        (&mut scene.stranger, false),
    ] {
        assert_eq!(!is_refused(client, "add_members", &members(&conv, &["guest"])), may);
        assert_eq!(!is_refused(client, "remove_members", &members(&conv, &["guest"])), may);
    }
}

#[test]
fn who_may_rename_is_a_matter_of_role() {
    let mut scene = scene();
    let rename =
        |name: &str| json!({"conv": scene.conv, "name": name, "client_msg_id": ids::fresh()});
    assert!(!is_refused(&mut scene.owner, "rename", &rename("by the owner")));
    assert!(!is_refused(&mut scene.admin, "rename", &rename("by the admin")));
    assert!(is_refused(&mut scene.member, "rename", &rename("by a member")));
    assert!(is_refused(&mut scene.stranger, "rename", &rename("by a stranger")));
    let page = scene.member.ask_for("conversations", "conversations", &json!({}));
    assert_eq!(page["items"][0]["name"], "by the admin");
}

#[test]
fn only_the_owner_makes_admins() {
    let mut scene = scene();
    let conv = scene.conv.clone();
    assert!(is_refused(&mut scene.member, "set_role", &role(&conv, "member", "admin")));
    assert!(is_refused(&mut scene.stranger, "set_role", &role(&conv, "stranger", "owner")));
    assert!(is_refused(&mut scene.admin, "set_role", &role(&conv, "admin", "owner")));
    assert!(!is_refused(&mut scene.owner, "set_role", &role(&conv, "target", "admin")));
    assert!(roster(&mut scene.owner, &conv).contains(&pair("target", "admin")));
}

#[test]
fn an_admin_cannot_remove_the_owner() {
    let mut scene = scene();
    let conv = scene.conv.clone();
    assert!(is_refused(&mut scene.admin, "remove_members", &members(&conv, &["owner"])));
    assert!(roster(&mut scene.owner, &conv).contains(&pair("owner", "owner")));
}

#[test]
fn a_role_that_does_not_exist_is_refused() {
    let mut scene = scene();
    let asked = role(&scene.conv, "member", "emperor");
    assert_eq!(scene.owner.error_of("set_role", &asked), "bad_frame");
}

#[test]
fn every_change_is_an_event_in_the_log_of_all() {
    let mut scene = scene();
    let conv = scene.conv.clone();
    scene.owner.ask_for("ack", "add_members", &members(&conv, &["guest", "visitor"]));
    scene.owner.ask_for("ack", "remove_members", &members(&conv, &["visitor"]));
    let rename = json!({"conv": conv, "name": "coffee", "client_msg_id": ids::fresh()});
    scene.owner.ask_for("ack", "rename", &rename);
    scene.member.ask_for("ack", "leave", &json!({"conv": conv, "client_msg_id": ids::fresh()}));
    let log = scene.owner.sync(&conv, 0)["events"].as_array().unwrap().clone();
    let created = &log[0]["created"];
    assert_eq!((&created["kind"], &created["name"]), (&json!("group"), &json!("tea")));
    assert_eq!(created["members"].as_array().unwrap().len(), 4);
    assert_eq!(log[1]["member"], json!({"users": ["admin"], "role": "admin"}));
    assert_eq!(log[2]["member"], json!({"users": ["guest", "visitor"], "role": "member"}));
    assert_eq!(log[3]["member"], json!({"users": ["visitor"], "left": true}));
    assert_eq!(log[4]["meta"], json!({"name": "coffee"}));
    assert_eq!(log[5]["member"], json!({"users": ["member"], "left": true}));
    assert_eq!(log[5]["sender"], "member");
}

#[test]
fn who_joins_reads_from_there_on() {
    let mut scene = scene();
    let conv = scene.conv.clone();
    scene.owner.say(&conv, "before");
    let ack = scene.owner.ask_for("ack", "add_members", &members(&conv, &["stranger"]));
    scene.owner.say(&conv, "after");
    let page = scene.stranger.sync(&conv, 0);
    assert_eq!(page["min_seq"], ack["seq"], "the event of joining is the first");
    assert_eq!(page["events"][0]["seq"], ack["seq"]);
    assert_eq!(scene.stranger.texts(&conv, 0), ["after"]);
    let below = json!({"conv": conv, "before": ack["seq"]});
    let page = scene.stranger.ask_for("history", "history", &below);
    assert_eq!(page["events"].as_array().map_or(0, Vec::len), 0, "{page}");
}

#[test]
fn a_group_with_open_history_shows_all_of_it() {
    let mut scene = scene();
    let fields =
        json!({"name": "open", "members": [], "history": "all", "client_msg_id": ids::fresh()});
    let ack = scene.owner.ask_for("ack", "create_group", &fields);
    let conv = ack["conv"].as_str().unwrap().to_owned();
    scene.owner.say(&conv, "before");
    scene.owner.ask_for("ack", "add_members", &members(&conv, &["stranger"]));
    assert_eq!(scene.stranger.texts(&conv, 0), ["before"]);
    assert_eq!(scene.stranger.sync(&conv, 0)["min_seq"], 1);
}

#[test]
fn who_left_reads_and_hears_nothing_more() {
    let mut scene = scene();
    let conv = scene.conv.clone();
    scene.owner.say(&conv, "while a member");
    scene.member.ask_for("ack", "leave", &json!({"conv": conv, "client_msg_id": ids::fresh()}));
    let page = scene.member.ask_for("conversations", "conversations", &json!({}));
    let listed = page["items"].as_array().cloned().unwrap_or_default();
    assert!(listed.iter().all(|item| item["conv"] != conv.as_str()), "{page}");
    let secret = scene.owner.say(&conv, "after the leave");
    assert!(is_refused(&mut scene.member, "send", &json!({"conv": conv, "text": "still here?"})));
    let answer = scene.member.ask("history", &json!({"conv": conv}));
    assert!(!answer.to_string().contains("after the leave"), "{answer}");
    while let Some(frame) = scene.member.pushed_within(std::time::Duration::from_millis(300)) {
        assert!(frame["event"]["seq"].as_u64() < Some(secret), "{frame}");
    }
}

#[test]
fn who_comes_back_does_not_read_what_was_said_meanwhile() {
    let mut scene = scene();
    let conv = scene.conv.clone();
    scene.owner.ask_for("ack", "remove_members", &members(&conv, &["member"]));
    scene.owner.say(&conv, "behind their back");
    let ack = scene.owner.ask_for("ack", "add_members", &members(&conv, &["member"]));
    scene.owner.say(&conv, "welcome back");
    let page = scene.member.sync(&conv, 0);
    assert_eq!(page["min_seq"], ack["seq"], "a rejoin starts a new interval: {page}");
    assert_eq!(scene.member.texts(&conv, 0), ["welcome back"]);
}

#[test]
fn a_change_that_changes_nothing_is_ok_and_leaves_the_log_as_it_was() {
    let mut scene = scene();
    let conv = scene.conv.clone();
    let before = roster(&mut scene.owner, &conv);
    let head = scene.owner.say(&conv, "the last event");
    for (op, fields) in [
        ("add_members", members(&conv, &["member"])),
        ("remove_members", members(&conv, &["nobody"])),
        ("set_role", role(&conv, "admin", "admin")),
        ("rename", json!({"conv": conv, "name": "tea", "client_msg_id": ids::fresh()})),
    ] {
        scene.owner.ask_for("ok", op, &fields);
    }
    assert_eq!(scene.owner.sync(&conv, 0)["head"], head);
    assert_eq!(roster(&mut scene.owner, &conv), before);
    assert!(roster(&mut scene.owner, &conv).contains(&pair("member", "member")));
}

#[test]
fn a_direct_conversation_takes_no_members() {
    let mut scene = scene();
    let fields = json!({"to": "member", "client_msg_id": ids::fresh(), "text": "hi"});
    let ack = scene.owner.ask_for("ack", "send", &fields);
    let conv = ack["conv"].as_str().unwrap();
    let answer = scene.owner.ask("add_members", &members(conv, &["stranger"]));
    assert_eq!(answer["error"]["fault"], "client", "{answer}");
    assert_eq!(roster(&mut scene.owner, conv).len(), 2);
}

#[test]
fn the_list_of_members_comes_in_pages() {
    let mut scene = scene();
    let guests: Vec<String> = (0..25).map(|number| format!("guest-{number:02}")).collect();
    let named: Vec<&str> = guests.iter().map(String::as_str).collect();
    scene.owner.ask_for("ack", "add_members", &members(&scene.conv, &named));
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let asked = json!({"conv": scene.conv, "after": after, "limit": 10});
        let page = scene.owner.ask_for("members", "members", &asked);
        let items = page["items"].as_array().cloned().unwrap_or_default();
        assert!(items.len() <= 10);
        found.extend(items.iter().map(|item| item["user"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut after),
            _ => break,
        }
    }
    let mut expected =
        [guests, vec!["admin".into(), "member".into(), "owner".into(), "target".into()]].concat();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}
