//! An independent implementation of both encodings, and messages made at random from the schema.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions,
    Value,
};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let files = protox::compile(["throng/v1.proto", "throng/link.proto"], [root]).unwrap();
    DescriptorPool::from_file_descriptor_set(files).unwrap()
});

/// Descriptor of a message, nested or not, of package `throng.v1` or `throng.link`.
pub(crate) fn descriptor(module: &str, name: &str) -> MessageDescriptor {
    let package = format!("throng.{module}");
    let mut messages = POOL.all_messages();
    let found =
        messages.find(|message| message.package_name() == package && message.name() == name);
    found.unwrap_or_else(|| panic!("{name} is not in the schema"))
}

/// Calls the macro `check!(type, &descriptor, …)` for every message of both schemas.
macro_rules! for_every_message {
    ($check:ident $arguments:tt) => {{
        $crate::oracle::for_every_client_message!($check $arguments);
        $crate::oracle::for_these!($check $arguments link
            Hello Welcome Bye Credit Session Register Unregister Request Answer Hint Evict Beacon);
    }};
}

/// The same for every message of the client schema.
macro_rules! for_every_client_message {
    ($check:ident $arguments:tt) => {
        $crate::oracle::for_these!($check $arguments v1
            ClientFrame Hello Send Mark HistoryRequest SyncRequest Position ConversationsRequest
            ChangesRequest CreateGroup ChangeMembers SetRole Rename Leave MembersRequest Ping
            ServerFrame Limits ServerInfo Change Welcome Ack Ok Page SyncPage Conversation
            ConversationsPage Changes Member MembersPage Pong Event Message MemberChange
            MetaChange Created Receipt Reconnect Error)
    };
}

macro_rules! for_these {
    ($check:ident $arguments:tt $module:ident $($message:ident)+) => {
        $($crate::oracle::for_this!($check $arguments $module $message);)+
    };
}

macro_rules! for_this {
    ($check:ident ( $($argument:ident),* ) $module:ident $message:ident) => {{
        let of = $crate::oracle::descriptor(stringify!($module), stringify!($message));
        $check!(throng_wire::$module::$message, &of $(, $argument)*);
    }};
}

pub(crate) use {for_every_client_message, for_every_message, for_these, for_this};

#[test]
fn the_list_of_messages_is_complete() {
    let mut listed = Vec::new();
    macro_rules! list {
        ($message:path, $descriptor:expr, $listed:expr) => {
            $listed.push($descriptor.full_name().to_owned())
        };
    }
    for_every_message!(list(listed));
    listed.sort();
    let mut declared: Vec<String> =
        POOL.all_messages().map(|message| message.full_name().to_owned()).collect();
    declared.sort();
    assert_eq!(listed, declared);
}

/// SplitMix64 (Steele, Lea, Flood 2014): a message for each seed, the same one every time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// Integers where the encodings change their length or their rules, all exact in JSON.
const INTEGERS: [u64; 9] =
    [0, 1, 127, 128, 16_383, 16_384, 1 << 31, u32::MAX as u64, (1 << 53) - 1];

const TEXTS: [&str; 8] = [
    "",
    "a",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "quote \" backslash \\ slash / tab \t newline \n null \0 delete \u{7f}",
    "\u{1f}\u{20}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}",
    "Grüße, 世界, 🦀",
    "sixteen bytes!!\"",
    "exactly 127 bytes of text, which is the longest that one byte of length can announce, and then \
     the next one needs two of them.",
];

/// A message of this type. With `any_integer` it may hold numbers that JSON does not.
pub(crate) fn random_message(
    of: &MessageDescriptor,
    random: &mut Random,
    any_integer: bool,
) -> DynamicMessage {
    let mut message = DynamicMessage::new(of.clone());
    for field in of.fields() {
        if random.below(2) == 0 {
            let value = random_field(&field, random, any_integer);
            message.set_field(&field, value);
        }
    }
    message
}

fn random_field(field: &FieldDescriptor, random: &mut Random, any_integer: bool) -> Value {
    if !field.is_list() {
        return random_value(&field.kind(), random, any_integer);
    }
    let length = random.below(4);
    Value::List((0..length).map(|_| random_value(&field.kind(), random, any_integer)).collect())
}

fn random_value(kind: &Kind, random: &mut Random, any_integer: bool) -> Value {
    let integer =
        if any_integer && random.below(4) == 0 { u64::MAX } else { random.pick(&INTEGERS) };
    match kind {
        Kind::Uint32 => Value::U32(integer as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(integer),
        Kind::Bool => Value::Bool(random.below(2) == 0),
        Kind::String if random.below(20) == 0 => Value::String("long ".repeat(4000)),
        Kind::String => Value::String(random.pick(&TEXTS).to_owned()),
        Kind::Bytes => {
            let length = random.pick(&[0, 1, 2, 3, 127, 128, 767, 768, 769, 3000]);
            Value::Bytes((0..length).map(|_| random.next() as u8).collect::<Vec<u8>>().into())
        }
        Kind::Message(of) => Value::Message(random_message(of, random, any_integer)),
        other => panic!("the schemas have no {other:?}"),
    }
}

/// The oracle's Protobuf.
pub(crate) fn encode(message: &DynamicMessage) -> Vec<u8> {
    message.encode_to_vec()
}

/// The oracle's reading of Protobuf.
pub(crate) fn decode(
    of: &MessageDescriptor,
    bytes: &[u8],
) -> Result<DynamicMessage, prost::DecodeError> {
    DynamicMessage::decode(of.clone(), bytes)
}

/// The oracle's JSON, by the rules of ours.
pub(crate) fn to_json(message: &DynamicMessage) -> String {
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(false)
        .use_proto_field_name(true)
        .skip_default_fields(true);
    let mut out = serde_json::Serializer::new(Vec::new());
    message.serialize_with_options(&mut out, &options).unwrap();
    String::from_utf8(out.into_inner()).unwrap()
}

/// The oracle's reading of JSON.
pub(crate) fn from_json(
    of: &MessageDescriptor,
    text: &str,
) -> Result<DynamicMessage, serde_json::Error> {
    DynamicMessage::deserialize(of.clone(), &mut serde_json::Deserializer::from_str(text))
}
