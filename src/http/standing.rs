//! Where a client stands under a rule, as header fields (draft-ietf-httpapi-ratelimit-headers).

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::limits::Standing;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Tells the rule, and what is left under it.
pub fn tell(headers: &mut HeaderMap, standing: &Standing) {
    let Standing {
        name,
        quota,
        window_s,
        remaining,
        reset_s,
    } = standing;
    let policy = format!("\"{name}\";q={quota};w={window_s}");
    let left = format!("\"{name}\";r={remaining};t={reset_s}");
    for (field, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
        // Names of rules and numbers are visible ASCII.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(field, value);
        }
    }
}
