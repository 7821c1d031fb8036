//! The clients of `examples/chat` for the terminal.

use std::net::SocketAddr;

use tokio::process::Command;

use crate::support::program::Program;
use crate::support::proxy::Proxy;
use crate::support::ws::Ws;
use crate::support::{Gateway, need};

fn python() -> Option<Command> {
    need::python("../../examples/chat/chat.py")
}

fn node() -> Option<Command> {
    need::node("../../examples/chat/chat.js")
}

fn curl() -> Option<Command> {
    need::bash("../../examples/chat/chat.sh")
}

/// Somebody in the room `1`.
async fn come(mut command: Command, name: &str, gateway: SocketAddr) -> Program {
    command.args([name, "1", &format!("http://{gateway}")]);
    let program = Program::typing(command);
    program.printed_with("here: ").await;
    program
}

/// Says something to the room as a client of its own.
async fn publish(gateway: &Gateway, json: &str) {
    let target = "/v1/publish?channel=room:1&user=carol";
    let answer = gateway.request("POST", target, &[], json.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_node_and_curl_talk_in_one_room() {
    let gateway = Gateway::start().await;
    let (Some(python), Some(node), Some(curl)) = (python(), node(), curl()) else {
        return;
    };
    let mut alice = come(python, "alice", gateway.address).await;
    alice.printed_with("* alice came, 1 here").await;
    let mut bob = come(node, "Bob Ümläut", gateway.address).await;
    alice.printed_with("* Bob Ümläut came, 2 here").await;
    let mut carol = come(curl, "山田", gateway.address).await;
    bob.printed_with("* 山田 came, 3 here").await;
    carol.printed_with("* 山田 came, 3 here").await;
    let room = [
        ("alice", "from \"Python\" \\n 1"),
        ("Bob Ümläut", "from Node, 😀"),
        ("山田", "from {\"curl\"} & $HOME `x`"),
    ];
    for (n, (name, text)) in room.into_iter().enumerate() {
        [&mut alice, &mut bob, &mut carol][n].say(text).await;
        for program in [&alice, &bob, &carol] {
            program.printed_with(&format!("{name}: {text}\n")).await;
        }
    }
    alice.say("/msg 山田 to you").await;
    carol.printed_with("alice (to you only): to you\n").await;
    carol.say("/msg \"Bob Ümläut\" and to you").await;
    bob.printed_with("山田 (to you only): and to you\n").await;
    bob.say("/msg alice and to you").await;
    alice
        .printed_with("Bob Ümläut (to you only): and to you\n")
        .await;
    bob.leave().await;
    carol.printed_with("* Bob Ümläut left, 2 here").await;
    // An event stream that ends does not say that it was meant.
    carol.leave().await;
    alice.printed_with("* 山田 left, 1 here").await;
    alice.leave().await;
}

/// Who is cut off sees what was said meanwhile, who came, and says what was typed.
async fn survives_a_cut(command: Option<Command>) {
    let Some(command) = command else { return };
    let gateway = Gateway::start().await;
    let proxy = Proxy::before(gateway.address).await;
    let mut alice = come(command, "alice", proxy.address).await;
    alice.printed_with("* alice came, 1 here").await;
    publish(&gateway, "\"1\"").await;
    alice.printed_with("carol: 1\n").await;
    proxy.cut();
    alice.say("said in between").await;
    let (_bob, _) = Ws::welcomed(gateway.address, "/v1/ws?channel=room:1&user=bob").await;
    publish(&gateway, "\"2\"").await;
    publish(&gateway, "\"3\"").await;
    proxy.mend();
    alice.printed_with("* bob came, 2 here").await;
    alice.printed_with("alice: said in between\n").await;
    publish(&gateway, "\"4\"").await;
    let printed = alice.printed_with("carol: 4\n").await;
    let said: Vec<_> = printed
        .lines()
        .filter(|line| line.starts_with("carol: "))
        .collect();
    assert_eq!(
        said,
        ["carol: 1", "carol: 2", "carol: 3", "carol: 4"],
        "{printed}"
    );
    assert_eq!(printed.matches("said in between").count(), 1, "{printed}");
    alice.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_survives_a_cut() {
    survives_a_cut(python()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_survives_a_cut() {
    survives_a_cut(node()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_survives_a_cut() {
    survives_a_cut(curl()).await;
}

/// A gateway that was started again is told as a gap, and the chat goes on.
async fn survives_a_restart(command: Option<Command>) {
    let Some(command) = command else { return };
    let gateway = Gateway::start().await;
    let address = gateway.address;
    let mut alice = come(command, "alice", address).await;
    alice.printed_with("* alice came, 1 here").await;
    gateway.down().await;
    let gateway = Gateway::with(|config| config.server.listen = vec![address.to_string()]).await;
    alice
        .printed_with("messages of room:1 may be missing: epoch")
        .await;
    publish(&gateway, "\"again\"").await;
    alice.printed_with("carol: again\n").await;
    alice.say("as before").await;
    alice.printed_with("alice: as before\n").await;
    alice.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_survives_a_restart() {
    survives_a_restart(python()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_survives_a_restart() {
    survives_a_restart(node()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_survives_a_restart() {
    survives_a_restart(curl()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_said_steers_the_terminal() {
    for command in [python(), node(), curl()] {
        let Some(command) = command else { return };
        let gateway = Gateway::start().await;
        let alice = come(command, "alice", gateway.address).await;
        alice.printed_with("* alice came, 1 here").await;
        publish(
            &gateway,
            r#""\u001b[2J \ud83d\ude00 \u00e9\u009b1m \"q\" \\n the end""#,
        )
        .await;
        let printed = alice.printed_with("the end").await;
        let is_plain = |c: char| c == '\n' || !c.is_control();
        assert!(printed.chars().all(is_plain), "{printed:?}");
        assert!(
            printed.contains("😀 é") && printed.contains("\"q\" \\n the end\n"),
            "{printed:?}"
        );
        alice.leave().await;
    }
}
