//! The attack suite: every abuse that the gateway is held against, the rule that stands against it, and the test that proves it.
//! Sections and tenets are those of the design, which `docs/protocol.md` and `docs/ARCHITECTURE.md` carry on. A test holds this
//! list to the tests: each one that it names is there, and each one of the suite is named.
//!
//! | abuse | rule | test |
//! |---|---|---|
//! | `alg=none`, a signature left out | RFC 8725, 3.1 | `tokens::an_unsigned_token_is_refused` |
//! | RSA public key as the secret of an HMAC | RFC 8725, 3.1 | `tokens::a_public_key_is_never_a_secret` |
//! | the same with public keys of curves | RFC 8725, 3.1 | `attacks::tokens::a_public_key_of_a_curve_is_never_a_secret` |
//! | a signature of another kind, or by a stranger's key | RFC 8725, 3.1 | `attacks::tokens::a_signature_of_another_kind_is_refused` |
//! | expired, not yet valid, another issuer or audience | section 6; RFC 7519, 4.1 | `tokens::time_issuer_and_audience_are_checked` |
//! | an audience in a form that libraries skip | RFC 7519, 4.1.3 | `attacks::tokens::an_audience_in_disguise_is_refused` |
//! | `exp` and `nbf` as text, fractions, overflows | RFC 7519, 4.1.4 | `attacks::tokens::times_are_numbers_of_seconds` |
//! | a header with `crit` | RFC 7515, 4.1.11 | `attacks::tokens::a_critical_extension_is_refused` |
//! | a key that comes with the token: `jwk`, `jku`, `x5u`, `x5c` | RFC 8725, 3.10 | `attacks::tokens::a_key_that_a_token_brings_is_not_used` |
//! | a `kid` that is a path, a query, a URL | RFC 8725, 3.10 | `attacks::tokens::the_name_of_a_key_is_no_path` |
//! | a claim that stands there twice | RFC 7519, 4 | `attacks::tokens::a_claim_that_stands_there_twice_refuses_the_token` |
//! | nested, mistyped and oversized claims | section 6 | `attacks::tokens::malformed_claims_grant_nothing` |
//! | a huge token | tenet 2 | `attacks::tokens::a_huge_token_is_refused_before_it_is_read` |
//! | another spelling of a token | RFC 7515, 2 | `attacks::tokens::a_token_has_one_spelling` |
//! | a user named `*` | section 6 | `tokens::a_name_is_never_a_wildcard` |
//! | `{user}` injection | section 6 | `attacks::tokens::a_user_put_into_a_pattern_is_text` |
//! | no credential | section 6 | `tokens::without_a_credential_there_is_nothing` |
//! | a bad credential where none is needed | section 6 | `tokens::anonymous_rights_stand_beside_tokens` |
//! | two credentials at once | section 3 | `tokens::two_credentials_at_once_are_a_bad_request` |
//! | one credential in two places, or twice | section 3 | `attacks::tokens::a_credential_said_twice_is_refused` |
//! | an API key that is nearly one | section 6 | `tokens::an_api_key_is_good_and_another_is_not` |
//! | rights that the token does not give | section 6 | `tokens::rights_are_those_of_the_token` |
//! | a forged ticket, one used twice, one for another channel | section 6 | `tokens::a_ticket_is_good_once_and_for_its_channels` |
//! | a ticket at every other door | section 6 | `attacks::tokens::a_ticket_opens_no_other_door` |
//! | a ticket used twice at the same moment | section 6 | `attacks::tokens::a_ticket_wins_one_race` |
//! | a ticket for channels of others | section 6 | `tokens::a_ticket_is_made_for_channels_that_its_maker_may_use` |
//! | a flood of tickets | tenet 2 | `attacks::tokens::a_flood_of_tickets_is_bounded` |
//! | staying on after the token's end | section 6 | `tokens::an_attachment_ends_with_its_token` |
//! | keeping rights that `refresh` took away, or another user's token | section 6 | `tokens::refresh_prolongs_and_takes_rights_away` |
//! | coming back after being revoked | section 6 | `tokens::what_is_revoked_is_refused_everywhere` |
//! | a ticket that makes tickets | section 3 | `attacks::grants::a_ticket_makes_no_tickets` |
//! | keeping what a removed API key granted | section 6 | `attacks::grants::a_removed_api_key_grants_nothing_to_anybody` |
//! | keeping rights that everybody had | section 6 | `attacks::grants::rights_that_everybody_had_end_with_the_reload` |
//! | the idempotency key of another | section 3 | `attacks::grants::an_idempotency_key_is_of_its_principal` |
//! | a message of which a part is missing | tenet 1; RFC 9113, 8.1.1 | `attacks::grants::a_body_that_is_cut_is_not_published` |
//! | another user's inbox: subscribe, publish, history | section 5 | `attacks::inboxes::the_inbox_of_another_is_closed_to_every_verb` |
//! | another spelling of `@inbox`: Unicode, percent signs | sections 3 and 5 | `attacks::inboxes::no_spelling_reaches_the_inbox_of_another` |
//! | another user's inbox by a cursor | section 3 | `attacks::inboxes::a_cursor_is_no_way_into_an_inbox` |
//! | another user's inbox by a ticket | section 6 | `attacks::inboxes::no_ticket_is_given_for_the_inbox_of_another` |
//! | writing to presence | section 5 | `refusals::nobody_writes_to_presence` |
//! | a credential in a log line | section 3 | `tokens::no_credential_is_ever_logged` |
//! | a secret in any output: logs, metrics, answers | sections 3 and 5 | `attacks::secrets::no_secret_is_printed_anywhere` |
//! | a key quoted by an error | section 8 | `tls::a_broken_key_is_not_quoted` |
//! | cross-origin POST and every other method | section 6 | `attacks::origins::a_page_elsewhere_is_refused_on_every_path_and_method` |
//! | cross-origin WebSocket | RFC 6455, 10.2 | `attacks::origins::a_websocket_of_a_page_elsewhere_never_opens` |
//! | DNS rebinding, proxies and `Origin: null` in open mode | section 6 | `refusals::in_open_mode_requests_from_elsewhere_are_refused` |
//! | pages elsewhere and a rebound name, in a browser | section 6 | `clients::tls::chromium_keeps_pages_elsewhere_out` |
//! | a `Host` that only looks local | section 6 | `attacks::origins::a_host_that_only_looks_local_is_refused` |
//! | an absolute target with another host | RFC 9112, 3.2.2 | `attacks::origins::an_absolute_target_is_no_way_around_the_host` |
//! | a tunnel or a proxy by CONNECT and odd targets | RFC 9110, 9.3.6 | `attacks::origins::the_gateway_is_no_proxy` |
//! | HTTP/2 CONNECT without `:protocol`, two hosts, bad fields | RFC 9113, 8.3.1 and 8.5 | `attacks::origins::over_http2_neither_tunnels_nor_two_hosts_are_served` |
//! | request smuggling | RFC 9112, 6.3 | `attacks::origins::a_body_has_one_length` |
//! | another spelling of a path | section 3 | `attacks::origins::a_path_has_one_spelling` |
//! | a path out of the folder of pages, in any encoding | section 3 | `attacks::files::no_path_leads_out_of_the_folder` |
//! | links out of the folder of pages, pipes, devices | section 3 | `attacks::files::links_lead_nowhere_outside` |
//! | a redirect to another host | RFC 9110, 15.4 | `attacks::files::no_redirect_leads_elsewhere` |
//! | readers that take no page | tenet 2 | `attacks::files::readers_that_take_no_page` |
//! | garbage, and silence, for a TLS hello | section 7 | `tls::who_says_nothing_or_nonsense_is_cut_and_others_are_served` |
//! | silent clients that hold up handshakes | section 7 | `tls::who_says_nothing_takes_no_turn_from_others` |
//! | a stranger's client certificate | section 7 | `tls::with_an_authority_for_clients_each_needs_a_certificate` |
//! | TLS before 1.2, weak ciphers | RFC 8996 | `attacks::encryption::old_versions_are_refused` |
//! | replayed 0-RTT data | RFC 8446, 8 | `attacks::encryption::nothing_is_read_before_the_handshake_is_done` |
//! | renegotiation | RFC 5746 | `clients::tls::openssl_cannot_renegotiate` |
//! | plain text or garbage within TLS | RFC 8446, 5.2 | `attacks::encryption::garbage_within_a_connection_ends_it` |
//! | a forged session ticket | RFC 5077, 5.5 | `attacks::encryption::a_ticket_of_another_gateway_resumes_nothing` |
//! | publishing too often | section 7 | `limits::publishes_pass_up_to_the_limit_and_their_answers_count_down` |
//! | requests too often | section 7 | `limits::requests_pass_up_to_the_limit_and_each_transport_is_told_in_its_own_way` |
//! | attaching too often | section 7 | `limits::attaching_too_often_is_refused_on_each_transport` |
//! | a WebSocket that keeps on | section 7 | `limits::a_websocket_that_keeps_on_is_told_each_time_and_then_closed` |
//! | too many attachments of an address | section 7 | `limits::an_address_has_so_many_attachments_and_their_places_come_back` |
//! | too many attachments of a user | section 7 | `limits::a_user_has_so_many_attachments` |
//! | an IPv6 network full of addresses | section 7 | `limits::an_ipv6_network_is_one_client` |
//! | `X-Forwarded-For` by a stranger | section 7 | `limits::an_address_that_a_stranger_claims_is_ignored` |
//! | `X-Forwarded-For` written before the proxy's | section 7 | `limits::what_a_client_wrote_before_its_proxy_did_is_ignored` |
//! | made-up addresses that fill the limiter's map | section 7 | `limits::a_flood_of_addresses_stays_within_the_map_and_who_was_there_goes_on` |
//! | the same under siege | tenets 1 and 2 | `attacks::floods::addresses_made_up` |
//! | too many sockets of an address | section 7 | `limits::ten_thousand_sockets_from_one_address_are_as_many_as_it_may_have` |
//! | ten thousand sockets from one address, under siege | section 7 | `attacks::floods::ten_thousand_sockets` |
//! | sockets that come and go | section 7 | `attacks::floods::sockets_that_come_and_go` |
//! | slow heads | section 7 | `attacks::floods::slow_heads` |
//! | slow bodies | section 7 | `attacks::floods::slow_bodies` |
//! | large bodies and messages that never end, all at once | tenet 2 | `incoming::past_the_limit_everybody_is_told_and_others_pass_when_it_is_given_back` |
//! | one client with all of that room | tenet 2 | `incoming::one_address_has_a_quarter_and_others_have_theirs` |
//! | slow TLS hellos | section 7 | `attacks::floods::slow_hellos` |
//! | garbage for TLS hellos, under siege | section 7 | `attacks::floods::garbage_for_hellos` |
//! | a body that never ends | section 7 | `attacks::floods::bodies_without_end` |
//! | a body that stops | section 7 | `refusals::a_body_that_does_not_end_is_given_up` |
//! | a head that stops | section 7 | `refusals::a_head_that_does_not_end_is_cut` |
//! | a header flood | section 7 | `refusals::a_head_over_its_limit_is_refused` |
//! | header floods and CONTINUATION floods, under siege | RFC 9113, 10.5.1 | `attacks::floods::heads_without_end` |
//! | an HTTP/2 head that never ends | RFC 9113, 10.5.1 | `hostile::a_head_that_never_ends` |
//! | an HPACK bomb | RFC 7541, 7.3 | `attacks::floods::packed_heads` |
//! | half an HTTP/2 preface, or one without settings | section 7 | `hostile::half_a_preface` |
//! | rapid reset | CVE-2023-44487 | `hostile::rapid_reset` |
//! | rapid reset, under siege | CVE-2023-44487 | `attacks::floods::rapid_resets` |
//! | resets that the gateway is made to send | CVE-2025-8671 | `attacks::floods::resets_that_the_gateway_is_made_to_send` |
//! | too many streams | RFC 9113, 5.1.2 | `hostile::more_streams_than_there_may_be` |
//! | floods of pings, settings, empty and unknown frames | RFC 9113, 10.5 | `attacks::floods::small_frames` |
//! | the same from who never reads | RFC 9113, 10.5 | `attacks::floods::small_frames_from_who_never_reads` |
//! | data frames of a byte | RFC 9113, 10.5 | `hostile::data_frames_of_a_byte` |
//! | a stream whose window stays shut | section 7 | `hostile::a_stream_without_a_window_is_cut_and_others_live` |
//! | windows of nothing on many streams, under siege | CVE-2019-9517 | `attacks::floods::windows_of_nothing` |
//! | pages that are asked for and never taken | tenet 2 | `attacks::floods::pages_that_are_never_taken` |
//! | a deflate bomb | RFC 7692, 8 | `hostile::a_deflate_bomb` |
//! | deflate bombs, under siege | RFC 7692, 8 | `attacks::floods::deflate_bombs` |
//! | garbage for deflate data | RFC 7692, 7.2.2 | `hostile::garbage_for_deflate_data` |
//! | a frame that announces more than there is memory | section 7 | `hostile::a_frame_that_announces_more_than_there_is_memory` |
//! | fragments that never end | section 7 | `attacks::floods::fragments_without_end` |
//! | malformed frames | RFC 6455, 5 | `hostile::reserved_bits` |
//! | a reader that stops reading | section 7 | `hostile::a_peer_that_never_reads` |
//! | many readers that stop reading, under siege | section 7 | `attacks::floods::readers_that_stop_reading` |
//! | commands without end | section 3 | `hostile::commands_without_end_from_who_never_reads` |
//! | commands without end, under siege | section 3 | `attacks::floods::commands_without_end` |
//! | bad tokens without end, under siege | tenet 2 | `attacks::floods::bad_tokens` |
//! | going on after being told to go | section 7 | `hostile::who_was_told_to_go_is_not_listened_to_for_long` |

mod encryption;
mod files;
mod floods;
mod grants;
mod inboxes;
mod origins;
mod secrets;
mod siege;
mod tokens;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The tests that the list above names.
fn named() -> Vec<&'static str> {
    let rows = include_str!("mod.rs").lines();
    let rows = rows.filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix("` |"));
    let tests = rows.filter_map(|row| Some(row.rsplit_once('`')?.1));
    tests.collect()
}

/// The tests of a source file, by their names.
fn tests_of(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let mut tests = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines() {
        is_test |= line.starts_with("#[test") || line.starts_with("#[tokio::test");
        let Some((_, name)) = line.split_once("fn ") else {
            continue;
        };
        if std::mem::take(&mut is_test) {
            tests.extend(name.split('(').next().map(str::to_owned));
        }
    }
    tests
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it")
}

#[test]
fn each_test_of_the_list_is_there() {
    let named = named();
    assert!(named.len() > 80, "the list was found: {}", named.len());
    for test in named {
        let (module, name) = test.rsplit_once("::").expect("a module and a test");
        let file = sources()
            .join(module.replace("::", "/"))
            .with_extension("rs");
        assert!(
            tests_of(&file).contains(name),
            "{test} is not in {}",
            file.display()
        );
    }
}

#[test]
fn each_test_of_the_suite_is_in_the_list_and_says_what_it_guards() {
    let named = named();
    for entry in std::fs::read_dir(sources().join("attacks")).expect("a folder") {
        let file = entry.expect("a file").path();
        let module = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .expect("a name");
        let text = std::fs::read_to_string(&file).expect("a file");
        for test in tests_of(&file).iter().filter(|_| module != "mod") {
            let path = format!("attacks::{module}::{test}");
            assert!(named.contains(&path.as_str()), "{path} is not in the list");
            let (before, _) = text.split_once(&format!("fn {test}(")).expect("the test");
            let (_, head) = before.rsplit_once("\n\n").expect("an empty line before it");
            assert!(
                head.starts_with("/// "),
                "{path} does not say what it guards"
            );
        }
    }
}

#[test]
fn no_test_is_named_twice() {
    let named = named();
    let different: BTreeSet<_> = named.iter().collect();
    assert_eq!(different.len(), named.len());
}
