//! Chains that are right, and the many ways in which they can be wrong.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, RevokedCertParams, SerialNumber, date_time_ymd,
};

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;
type Change = fn(&mut CertificateParams);

fn now() -> i64 {
    date_time_ymd(2026, 6, 1).unix_timestamp()
}

fn params(name: &str, change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    change(&mut params);
    params
}

fn is_authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

fn root(name: &str, change: impl Fn(&mut CertificateParams)) -> Authority {
    let both = |params: &mut CertificateParams| {
        is_authority(params);
        change(params);
    };
    Authority::self_signed(params(name, both), KeyPair::generate().unwrap()).unwrap()
}

/// An authority below another.
fn below(above: &Authority, name: &str, change: impl Fn(&mut CertificateParams)) -> Authority {
    let both = |params: &mut CertificateParams| {
        is_authority(params);
        change(params);
    };
    Authority::signed_by(params(name, both), KeyPair::generate().unwrap(), above).unwrap()
}

fn leaf(above: &Authority, change: impl Fn(&mut CertificateParams)) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    params("client", change).signed_by(&key, above).unwrap().der().clone()
}

fn auth(trusted: &[&Authority], depth: usize) -> ClientAuth {
    ClientAuth {
        mode: VerifyClient::On,
        depth,
        hints: Vec::new(),
        trusted: trusted.iter().map(|root| root.der().clone()).collect(),
        revoked: None,
        algorithms: provider().signature_verification_algorithms,
    }
}

#[test]
fn a_chain_leads_to_a_root_that_is_trusted() {
    let root = root("root", |_| ());
    let middle = below(&root, "middle", |_| ());
    let low = below(&middle, "low", |_| ());
    let client = leaf(&low, |_| ());
    let sent = [client.clone(), low.der().clone(), middle.der().clone()];
    assert_eq!(auth(&[&root], 2).verify(&sent, now()), Ok(()));
    // in any order, with the root, and with what the server knows itself
    let all = [client.clone(), root.der().clone(), middle.der().clone(), low.der().clone()];
    assert_eq!(auth(&[&root], 2).verify(&all, now()), Ok(()));
    assert_eq!(auth(&[&root, &middle, &low], 2).verify(&sent[..1], now()), Ok(()));

    assert_eq!(auth(&[&root], 1).verify(&sent, now()), Err("certificate chain too long"));
    let lacks = Err("unable to verify the first certificate");
    assert_eq!(auth(&[&root], 2).verify(&sent[..1], now()), lacks);
    let half = Err("unable to get issuer certificate");
    assert_eq!(auth(&[&root], 2).verify(&sent[..2], now()), half);
    // an authority in the middle is no root
    assert_eq!(auth(&[&middle], 2).verify(&sent, now()), half);
    let other = self::root("root", |_| ());
    let unknown = Err("self-signed certificate in certificate chain");
    assert_eq!(auth(&[&other], 3).verify(&all, now()), unknown);
    let alone = [root.der().clone()];
    assert_eq!(auth(&[&other], 3).verify(&alone, now()), Err("self-signed certificate"));
    assert!(auth(&[&root], 1).verify(&[], now()).is_err());
}

#[test]
fn a_certificate_has_to_be_fit_for_its_place() {
    let root = root("root", |_| ());
    let leaves: [(&str, Change); 6] = [
        ("", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
        ("", |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
        ("unsuitable certificate purpose", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("certificate has expired", |params| params.not_after = date_time_ymd(2026, 5, 31)),
        ("certificate is not yet valid", |params| params.not_before = date_time_ymd(2026, 6, 2)),
        ("unhandled critical extension", |params| {
            let mut odd =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
            odd.set_criticality(true);
            params.custom_extensions = vec![odd];
        }),
    ];
    for (fault, change) in leaves {
        let verdict = auth(&[&root], 1).verify(&[leaf(&root, change)], now());
        assert_eq!(verdict.err().unwrap_or_default(), fault);
    }
    let middles: [(&str, Change); 7] = [
        ("", |params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]),
        ("invalid CA certificate", |params| params.is_ca = IsCa::NoCa),
        ("invalid CA certificate", |params| params.is_ca = IsCa::ExplicitNoCa),
        ("invalid CA certificate", |params| params.key_usages = vec![KeyUsagePurpose::CrlSign]),
        ("unsuitable certificate purpose", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        }),
        ("certificate has expired", |params| params.not_after = date_time_ymd(2026, 5, 31)),
        ("name constraints are not supported", |params| {
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DnsName("a.test".to_owned())],
                excluded_subtrees: Vec::new(),
            });
        }),
    ];
    for (fault, change) in middles {
        let middle = below(&root, "middle", change);
        let sent = [leaf(&middle, |_| ()), middle.der().clone()];
        let verdict = auth(&[&root], 2).verify(&sent, now());
        assert_eq!(verdict.err().unwrap_or_default(), fault);
    }
}

#[test]
fn an_authority_says_how_many_may_be_below_it() {
    for (most, verdict) in [(1, Ok(())), (0, Err("path length constraint exceeded"))] {
        let bounded = |params: &mut CertificateParams| {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
        };
        let root = root("root", bounded);
        let middle = below(&root, "middle", |_| ());
        let sent = [leaf(&middle, |_| ()), middle.der().clone()];
        assert_eq!(auth(&[&root], 5).verify(&sent, now()), verdict);
    }
}

#[test]
fn a_circle_ends() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let issuer = |name: &str, key: KeyPair| Issuer::new(params(name, is_authority), key);
    let copy = |key: &KeyPair| KeyPair::try_from(key.serialize_der()).unwrap();
    let first = params("a", is_authority).signed_by(&key, &issuer("b", copy(&other))).unwrap();
    let second = params("b", is_authority).signed_by(&other, &issuer("a", copy(&key))).unwrap();
    let client_key = KeyPair::generate().unwrap();
    let client = params("client", |_| ()).signed_by(&client_key, &issuer("a", key)).unwrap();
    let sent = [client.der().clone(), first.der().clone(), second.der().clone()];
    let auth = auth(&[&root("root", |_| ())], usize::MAX);
    assert_eq!(auth.verify(&sent, now()), Err("certificate chain too long"));
}

#[test]
fn no_byte_of_a_certificate_can_be_another() {
    let root = root("root", |_| ());
    let good = leaf(&root, |_| ());
    let auth = auth(&[&root], 1);
    assert_eq!(auth.verify(std::slice::from_ref(&good), now()), Ok(()));
    for at in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut bytes = good.to_vec();
            bytes[at] ^= bit;
            assert!(auth.verify(&[bytes.into()], now()).is_err(), "byte {at}");
        }
        let short = good[..at].to_vec();
        assert!(auth.verify(&[short.into()], now()).is_err(), "cut at {at}");
    }
}

/// When most lists are new.
const YEARS: (i32, i32) = (2026, 2027);

/// A list of an authority, with these numbers on it.
fn list(
    of: &Authority,
    numbers: &[u64],
    years: (i32, i32),
) -> CertificateRevocationListDer<'static> {
    made(of, numbers, years, false)
}

fn made(
    of: &Authority,
    numbers: &[u64],
    (starts, ends): (i32, i32),
    partial: bool,
) -> CertificateRevocationListDer<'static> {
    let revoked = |number: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*number),
        revocation_time: date_time_ymd(2026, 2, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(starts, 1, 1),
        next_update: date_time_ymd(ends, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: partial.then(|| CrlIssuingDistributionPoint {
            distribution_point: CrlDistributionPoint { uris: vec!["http://a.test/".to_owned()] },
            scope: Some(CrlScope::UserCertsOnly),
        }),
        revoked_certs: numbers.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(of).unwrap().der().clone()
}

#[test]
fn a_certificate_on_a_list_is_refused_and_so_is_one_without_a_list() {
    let (root, other) = (root("root", |_| ()), root("root", |_| ()));
    let client = leaf(&root, |params| params.serial_number = Some(SerialNumber::from(7)));
    let verdict = |lists: Vec<CertificateRevocationListDer<'static>>| {
        let auth = ClientAuth { revoked: Some(lists), ..auth(&[&root], 1) };
        auth.verify(std::slice::from_ref(&client), now())
    };
    assert_eq!(verdict(vec![list(&root, &[6, 8], YEARS)]), Ok(()));
    assert_eq!(verdict(vec![list(&root, &[6, 7], YEARS)]), Err("certificate revoked"));
    assert_eq!(verdict(vec![list(&root, &[], (2024, 2025))]), Err("CRL has expired"));
    assert_eq!(verdict(vec![list(&root, &[], (2027, 2028))]), Err("CRL is not yet valid"));
    // of the same name, but of another key
    let none = Err("unable to get certificate CRL");
    assert_eq!(verdict(vec![list(&other, &[], YEARS)]), none);
    assert_eq!(verdict(Vec::new()), none);
    // one that is not about everybody
    let partial = made(&root, &[], YEARS, true);
    assert_eq!(verdict(vec![partial]), Err("unhandled critical CRL extension"));
    // one of an authority that may not make lists
    let key = KeyPair::generate().unwrap();
    let same = KeyPair::try_from(key.serialize_der()).unwrap();
    let only_certificates = |params: &mut CertificateParams| {
        is_authority(params);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    };
    let silent = Authority::self_signed(params("silent", only_certificates), key).unwrap();
    let signer = Authority::self_signed(params("silent", is_authority), same).unwrap();
    let auth = ClientAuth { revoked: Some(vec![list(&signer, &[], YEARS)]), ..auth(&[&silent], 1) };
    let verdict = auth.verify(&[leaf(&silent, |_| ())], now());
    assert_eq!(verdict, Err("key usage does not include CRL signing"));
}
