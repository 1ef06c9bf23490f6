//! The hash of a server's certificate that binds a password exchange to its TLS connection (`tls-server-end-point`, RFC 5929).

use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// ASN.1's tags of a sequence and of an object identifier.
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The signature algorithms `rsaEncryption` with a hash: 1.2.840.113549.1.1.N.
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
/// ECDSA with a hash: 1.2.840.10045.4.3.N.
const ECDSA: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03];

/// The hash of a certificate (DER) by the algorithm of its signature. None if the algorithm names no hash, as Ed25519: then
/// there is no binding.
pub(super) fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let (algorithm, number) = signature_algorithm(certificate)?;
    match (algorithm, number) {
        // MD5 and SHA-1 are replaced by SHA-256.
        (RSA, 4 | 5 | 11) | (ECDSA, 2) => Some(Sha256::digest(certificate).to_vec()),
        (RSA, 12) | (ECDSA, 3) => Some(Sha384::digest(certificate).to_vec()),
        (RSA, 13) | (ECDSA, 4) => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The object identifier of the signature's algorithm, and its last number. A certificate is a sequence of the signed part, a
/// sequence that begins with the identifier, and the signature.
fn signature_algorithm(certificate: &[u8]) -> Option<(&[u8], u8)> {
    let (content, _) = read(SEQUENCE, certificate)?;
    let (_, after_signed) = read(SEQUENCE, content)?;
    let (algorithm, _) = read(SEQUENCE, after_signed)?;
    let (identifier, _) = read(OBJECT_IDENTIFIER, algorithm)?;
    let (last, algorithm) = identifier.split_last()?;
    Some((algorithm, *last))
}

/// The content of the first value, which has this tag, and what follows the value.
fn read(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7F);
        let (digits, rest) = (count <= 4).then(|| rest.split_at_checked(count))??;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate of nothing but the identifier of its signature's algorithm.
    fn certificate(identifier: &[u8]) -> Vec<u8> {
        let sequence = |content: &[u8]| [&[SEQUENCE, content.len() as u8], content].concat();
        let identifier = [&[OBJECT_IDENTIFIER, identifier.len() as u8], identifier].concat();
        // The signed part has a length of two bytes.
        let signed = [&[SEQUENCE, 0x82, 0x01, 0x00], [7; 256].as_slice()].concat();
        let content = [signed, sequence(&identifier)].concat();
        [&[SEQUENCE, 0x82, (content.len() >> 8) as u8, content.len() as u8], content.as_slice()].concat()
    }

    #[test]
    fn the_hash_is_the_one_of_the_signature_and_at_least_sha_256() {
        for (prefix, number, bytes) in [
            (RSA, 5, 32),
            (RSA, 11, 32),
            (RSA, 12, 48),
            (RSA, 13, 64),
            (ECDSA, 2, 32),
            (ECDSA, 3, 48),
            (ECDSA, 4, 64),
        ] {
            let certificate = certificate(&[prefix, &[number]].concat());
            assert_eq!(end_point_hash(&certificate).map(|hash| hash.len()), Some(bytes), "{number}");
        }
        assert_eq!(end_point_hash(&certificate(&[0x2B, 0x65, 0x70])), None, "Ed25519");
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_hash() {
        let whole = certificate(&[ECDSA, &[2]].concat());
        for length in 0..whole.len() {
            assert_eq!(end_point_hash(&whole[..length]), None, "{length}");
        }
        assert_eq!(end_point_hash(&[SEQUENCE, 0xFF, 1, 2, 3]), None);
    }
}
