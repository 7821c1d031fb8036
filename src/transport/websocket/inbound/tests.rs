use super::*;
use crate::config::Config;
use crate::limits::{Counted, FREE_BYTES, Limits};
use crate::transport::websocket::deflate::deflate;

const MAX: usize = 10_000;

fn inbound(takes_deflate: bool) -> Inbound {
    let limits = Limits::new(&Config::default());
    Inbound::new(takes_deflate, MAX, limits.common_inlet())
}

/// One for messages of a MiB, and what it takes of a room of `room_bytes`.
fn large(room_bytes: usize) -> (Inbound, Limits) {
    let mut config = Config::default();
    config.limits.incoming_bytes_max = room_bytes;
    let limits = Limits::new(&config);
    let inbound = Inbound::new(true, 1 << 20, limits.common_inlet());
    (inbound, limits)
}

/// Takes all that is ready.
fn drain(inbound: &mut Inbound) -> Result<Vec<u8>, Gone> {
    let mut output = Vec::new();
    while inbound.take(&mut output)? > 0 {}
    Ok(output)
}

/// A frame of a client.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 1, 9, 200];
    let (mut head, head_bytes) = frame_head(first, payload.len());
    head[1] |= 0x80;
    let mut frame = head[..head_bytes].to_vec();
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .enumerate()
            .map(|(i, byte)| byte ^ mask[i % 4]),
    );
    frame
}

/// Feeds bytes in chunks and puts the messages together again: opcode and payload, control frames among them.
fn decode(bytes: &[u8], chunk_bytes: usize) -> Result<Vec<(u8, Vec<u8>)>, Gone> {
    let mut inbound = inbound(true);
    let mut output = Vec::new();
    for chunk in bytes.chunks(chunk_bytes) {
        inbound.feed(chunk);
        loop {
            let taken = inbound.take(&mut output)?;
            assert!(taken <= PIECE_BYTES + 4, "one frame at a time");
            if taken == 0 {
                break;
            }
        }
    }
    assert_eq!(
        inbound.ready.capacity(),
        0,
        "nothing is held between messages"
    );
    Ok(messages(&output))
}

fn messages(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut done, mut open) = (Vec::new(), None::<(u8, Vec<u8>)>);
    while !bytes.is_empty() {
        let (first, short) = (bytes[0], usize::from(bytes[1]));
        let (head_bytes, length) = match short {
            126 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            _ => (2, short),
        };
        assert!(length <= PIECE_BYTES, "pieces are short");
        let payload = &bytes[head_bytes..head_bytes + length];
        bytes = &bytes[head_bytes + length..];
        let (opcode, fin) = (first & 0x0f, first & 0x80 != 0);
        if opcode >= 8 {
            done.push((opcode, payload.to_vec()));
            continue;
        }
        let message = open.get_or_insert((opcode, Vec::new()));
        message.1.extend_from_slice(payload);
        if fin {
            done.extend(open.take());
        }
    }
    done
}

#[test]
fn frames_come_through_however_they_are_cut() {
    let long: Vec<u8> = (0..5000).map(|i| (i % 251) as u8).collect();
    let text = "hello deflate ".repeat(100).into_bytes();
    let deflated = deflate(&text);
    let bytes = [
        masked(0x81, b"plain"),
        masked(0x82, &long),
        masked(0x81, b""),
        masked(0xc1, &deflated),
        masked(0x41, &deflated[..9]),
        masked(0x89, b"ping"),
        masked(0x00, &[]),
        masked(0x80, &deflated[9..]),
        masked(0x01, b"frag"),
        masked(0x80, b"mented"),
    ]
    .concat();
    let expected = [
        (1, b"plain".to_vec()),
        (2, long),
        (1, Vec::new()),
        (1, text.clone()),
        (9, b"ping".to_vec()),
        (1, text),
        (1, b"fragmented".to_vec()),
    ];
    for chunk_bytes in [1, 2, 3, 7, 100, 4096, bytes.len()] {
        assert_eq!(
            decode(&bytes, chunk_bytes).unwrap(),
            expected,
            "in chunks of {chunk_bytes}"
        );
    }
}

#[test]
fn what_breaks_the_rules_is_told_apart() {
    let bomb = deflate(&vec![b'a'; 1 << 20]);
    let cases = [
        ("an unmasked frame", vec![0x81, 1, b'x'], 1002),
        ("RSV2", masked(0xa1, b"x"), 1002),
        ("RSV1 on a ping", masked(0xc9, b"x"), 1002),
        (
            "RSV1 on a continuation",
            [masked(0x01, b"x"), masked(0xc0, b"x")].concat(),
            1002,
        ),
        (
            "a new message amid a compressed one",
            [masked(0x41, b"x"), masked(0x81, b"x")].concat(),
            1002,
        ),
        ("a long ping", masked(0x89, &[0; 126]), 1002),
        ("a ping without FIN", masked(0x09, b""), 1002),
        ("a reserved opcode", masked(0x83, b""), 1002),
        (
            "garbage for a compressed message",
            masked(0xc1, &[0xff; 20]),
            1007,
        ),
        (
            "a frame over the limit",
            masked(0x82, &vec![0; MAX + 1]),
            1009,
        ),
        ("a bomb", masked(0xc1, &bomb), 1009),
        (
            "a compressed message over the limit in fragments",
            {
                [
                    masked(0x41, &vec![0; deflated_bytes_max(MAX)]),
                    masked(0x00, b"x"),
                ]
                .concat()
            },
            1009,
        ),
    ];
    for (case, bytes, code) in cases {
        let got = match decode(&bytes, 4096) {
            Err(Gone::Misbehaved(code)) => code,
            Err(Gone::TooLarge) => 1009,
            other => panic!("{case}: {other:?}"),
        };
        assert_eq!(got, code, "{case}");
    }
    let mut plain_only = inbound(false);
    plain_only.feed(&masked(0xc1, b"x"));
    assert!(
        matches!(
            plain_only.take(&mut Vec::new()),
            Err(Gone::Misbehaved(1002))
        ),
        "RSV1 that was not agreed"
    );
}

#[test]
fn a_message_at_the_limit_fits() {
    let message = vec![b'x'; MAX];
    assert_eq!(
        decode(&masked(0x81, &message), 4096).unwrap(),
        [(1, message.clone())]
    );
    assert_eq!(
        decode(&masked(0xc1, &deflate(&message)), 4096).unwrap(),
        [(1, message)]
    );
}

#[test]
fn a_compressed_message_at_the_limit_fits_though_it_grew() {
    // Stored blocks of 100 bytes, as a client may make them that does not compress at all.
    let message = vec![b'x'; MAX];
    let mut stored = Vec::new();
    for chunk in message.chunks(100) {
        let length = chunk.len() as u16;
        stored.push(0);
        stored.extend_from_slice(&length.to_le_bytes());
        stored.extend_from_slice(&(!length).to_le_bytes());
        stored.extend_from_slice(chunk);
    }
    // What the end of a message leaves out (RFC 7692, section 7.2.1).
    stored.push(0);
    assert!(stored.len() > MAX);
    let decoded = decode(&masked(0xc1, &stored), 1000).unwrap();
    assert_eq!(decoded, [(1, message)]);
}

#[test]
fn many_small_bombs_are_inflated_one_at_a_time() {
    let bomb = masked(0xc1, &deflate(&vec![b'a'; MAX]));
    let mut inbound = inbound(true);
    inbound.feed(&bomb.repeat(100));
    let mut output = Vec::new();
    while inbound.take(&mut output).unwrap() > 0 {
        assert!(
            inbound.ready.len() <= MAX + READY_BYTES + 1024,
            "{}",
            inbound.ready.len()
        );
    }
    assert_eq!(messages(&output).len(), 100);
}

#[test]
fn what_came_before_a_fault_is_passed_on_first() {
    let mut inbound = inbound(true);
    inbound.feed(&[masked(0x81, b"good"), masked(0x83, b"bad")].concat());
    let mut output = Vec::new();
    assert!(inbound.take(&mut output).unwrap() > 0);
    assert_eq!(messages(&output), [(1, b"good".to_vec())]);
    assert_eq!(inbound.take(&mut output), Err(Gone::Misbehaved(1002)));
}

#[test]
fn a_small_message_takes_no_room_and_a_large_one_does_until_it_is_handled() {
    let (mut inbound, limits) = large(1 << 20);
    inbound.feed(&masked(0x82, &[b'x'; FREE_BYTES]));
    drain(&mut inbound).unwrap();
    assert_eq!(limits.incoming_bytes(), 0);
    assert!(inbound.take_share(FREE_BYTES).is_none());
    let long = vec![b'x'; 3 * FREE_BYTES];
    inbound.feed(&masked(0x82, &long));
    let mut output = Vec::new();
    while messages(&output).is_empty() {
        inbound.take(&mut output).unwrap();
    }
    let share = inbound.take_share(long.len());
    assert_eq!(limits.incoming_bytes(), 2 * FREE_BYTES);
    drain(&mut inbound).unwrap();
    drop(share);
    assert_eq!(limits.incoming_bytes(), 0);
}

#[test]
fn of_messages_that_come_together_the_large_one_has_the_share() {
    let (mut inbound, limits) = large(1 << 20);
    let bomb = deflate(&[b'a'; 3 * FREE_BYTES]);
    inbound.feed(
        &[
            masked(0x82, b"small"),
            masked(0xc2, &bomb),
            masked(0xc2, &bomb),
        ]
        .concat(),
    );
    let mut output = Vec::new();
    for expected in [5, 3 * FREE_BYTES, 3 * FREE_BYTES] {
        output.clear();
        while messages(&output).is_empty() {
            inbound.take(&mut output).unwrap();
        }
        assert_eq!(messages(&output)[0].1.len(), expected);
        let share = inbound.take_share(expected);
        assert_eq!(share.is_some(), expected > FREE_BYTES);
        drop(share);
    }
    assert_eq!(limits.incoming_bytes(), 0);
}

#[test]
fn a_message_without_room_ends_it_whole_in_pieces_or_inflated() {
    let long = vec![b'x'; 4 * FREE_BYTES];
    let pieces: Vec<u8> = long
        .chunks(1000)
        .enumerate()
        .flat_map(|(i, piece)| masked(if i == 0 { 2 } else { 0 }, piece))
        .collect();
    let random: Vec<u8> = (0..long.len() as u64)
        .map(|i| (i * i % 251) as u8)
        .collect();
    for frames in [
        masked(0x82, &long),
        pieces,
        masked(0xc2, &deflate(&long)),
        masked(0xc2, &random),
    ] {
        let (mut inbound, limits) = large(2 * FREE_BYTES);
        inbound.feed(&frames);
        assert_eq!(drain(&mut inbound), Err(Gone::Full(Counted::Incoming)));
        drop(inbound);
        assert_eq!(limits.incoming_bytes(), 0);
    }
}
