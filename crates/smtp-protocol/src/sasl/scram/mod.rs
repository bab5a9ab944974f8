//! SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and neither says it.
//!
//! ```text
//!   client                                              server
//!   n,,n=user,r=NONCE  ─────────────────────────────>   looks up the user's verifier
//!                      <─────────────────────────────   r=NONCEnonce,s=SALT,i=4096
//!   c=biws,r=NONCEnonce,p=PROOF  ───────────────────>   is the proof from the password that the verifier was made of?
//!                      <─────────────────────────────   v=SIGNATURE
//!   is the signature from the same password?  ──────>   235
//! ```

pub(crate) mod client;
pub(crate) mod message;
pub(crate) mod nonce;
pub(crate) mod server;
pub(crate) mod verifier;
