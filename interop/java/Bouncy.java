import java.math.BigInteger;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.Date;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.cmp.CMPCertificate;
import org.bouncycastle.asn1.cmp.CMPObjectIdentifiers;
import org.bouncycastle.asn1.cmp.CertConfirmContent;
import org.bouncycastle.asn1.cmp.ErrorMsgContent;
import org.bouncycastle.asn1.cmp.InfoTypeAndValue;
import org.bouncycastle.asn1.cmp.PKIBody;
import org.bouncycastle.asn1.cmp.PKIConfirmContent;
import org.bouncycastle.asn1.cmp.PKIFailureInfo;
import org.bouncycastle.asn1.cmp.PKIFreeText;
import org.bouncycastle.asn1.cmp.PKIHeader;
import org.bouncycastle.asn1.cmp.PKIMessage;
import org.bouncycastle.asn1.cmp.PKIStatus;
import org.bouncycastle.asn1.cmp.PKIStatusInfo;
import org.bouncycastle.asn1.crmf.CertTemplate;
import org.bouncycastle.asn1.crmf.POPOPrivKey;
import org.bouncycastle.asn1.crmf.ProofOfPossession;
import org.bouncycastle.asn1.crmf.SubsequentMessage;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.RSAESOAEPparams;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.cmp.CMSProcessableCMPCertificate;
import org.bouncycastle.cert.cmp.CertificateConfirmationContent;
import org.bouncycastle.cert.cmp.CertificateStatus;
import org.bouncycastle.cert.cmp.GeneralPKIMessage;
import org.bouncycastle.cert.cmp.POPODecryptionKeyChallengeContentBuilder;
import org.bouncycastle.cert.cmp.POPODecryptionKeyResponseContent;
import org.bouncycastle.cert.cmp.ProtectedPKIMessage;
import org.bouncycastle.cert.cmp.ProtectedPKIMessageBuilder;
import org.bouncycastle.cert.crmf.CertificateRepMessageBuilder;
import org.bouncycastle.cert.crmf.CertificateReqMessages;
import org.bouncycastle.cert.crmf.CertificateRequestMessage;
import org.bouncycastle.cert.crmf.CertificateResponseBuilder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cms.CMSEnvelopedData;
import org.bouncycastle.cms.CMSEnvelopedDataGenerator;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKEMRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.operator.DigestCalculatorProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.pkcs.jcajce.JcePBMac1CalculatorBuilder;
import org.bouncycastle.pkcs.jcajce.JcePBMac1CalculatorProviderBuilder;

/**
 * A CA on Bouncy Castle's CMP and CRMF classes, for the harness: ir and cr under PBMAC1 or a signature, certificates in the
 * clear, encrypted for the new key (encrCert), or after a challenge.
 */
public final class Bouncy {
    private static final SecureRandom RANDOM = new SecureRandom();
    private static final AlgorithmIdentifier SHA256 = new AlgorithmIdentifier(NISTObjectIdentifiers.id_sha256);
    private static final AlgorithmIdentifier OAEP = new AlgorithmIdentifier(
            PKCSObjectIdentifiers.id_RSAES_OAEP,
            new RSAESOAEPparams(
                    SHA256, new AlgorithmIdentifier(PKCSObjectIdentifiers.id_mgf1, SHA256),
                    RSAESOAEPparams.DEFAULT_P_SOURCE_ALGORITHM));
    private static Jobs jobs;

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        jobs = new Jobs();
        jobs.work((job, operation) -> {
            if (!operation.equals("serve")) {
                throw new IllegalArgumentException("unknown operation " + operation);
            }
            return jobs.serve(new Authority(job)::answer);
        });
    }

    /** What a transaction has come to. */
    private static final class Transaction {
        final CertificateRequestMessage request;
        final int responseType;
        final boolean isImplicit;
        byte[] challenge;
        X509CertificateHolder issued;

        Transaction(CertificateRequestMessage request, int responseType, boolean isImplicit) {
            this.request = request;
            this.responseType = responseType;
            this.isImplicit = isImplicit;
        }
    }

    /** A request that is refused. */
    private static final class Refusal extends Exception {
        private static final long serialVersionUID = 1;
        final int failInfo;

        Refusal(int failInfo, String words) {
            super(words);
            this.failInfo = failInfo;
        }
    }

    private static final class Authority {
        private final Jobs.Job job;
        private final PrivateKey key;
        private final X509Certificate certificate;
        private final DigestCalculatorProvider digests = new JcaDigestCalculatorProviderBuilder().setProvider("BC").build();
        private final Map<String, Transaction> transactions = new ConcurrentHashMap<>();

        Authority(Jobs.Job job) throws Exception {
            this.job = job;
            key = job.key("ca_key");
            certificate = job.certificates("ca").get(0);
        }

        byte[] answer(byte[] bytes) throws Exception {
            PKIMessage message = PKIMessage.getInstance(bytes);
            ProtectedPKIMessage request = new ProtectedPKIMessage(new GeneralPKIMessage(message));
            ProtectedPKIMessageBuilder builder = answering(message.getHeader());
            try {
                verify(request);
                process(request, builder);
            } catch (Refusal refusal) {
                PKIStatusInfo status = new PKIStatusInfo(
                        PKIStatus.rejection, new PKIFreeText(refusal.getMessage()), new PKIFailureInfo(refusal.failInfo));
                builder.setBody(new PKIBody(PKIBody.TYPE_ERROR, new ErrorMsgContent(status)));
            }
            return protect(builder).toASN1Structure().getEncoded("DER");
        }

        private void verify(ProtectedPKIMessage request) throws Exception {
            boolean isMac = PKCSObjectIdentifiers.id_PBMAC1.equals(request.getProtectionAlgorithm().getAlgorithm());
            if (isMac != job.has("secret")) {
                throw new Refusal(PKIFailureInfo.wrongIntegrity, "another kind of protection is expected");
            }
            boolean isGood;
            if (isMac) {
                isGood = request.verify(
                        new JcePBMac1CalculatorProviderBuilder().setProvider("BC").build(), job.get("secret").toCharArray());
            } else {
                X509CertificateHolder signer = request.getCertificates()[0];
                isGood = request.verify(new JcaContentVerifierProviderBuilder().setProvider("BC").build(signer))
                        && signer.isSignatureValid(
                                new JcaContentVerifierProviderBuilder().setProvider("BC").build(certificate));
            }
            if (!isGood) {
                throw new Refusal(PKIFailureInfo.badMessageCheck, "the protection does not match");
            }
        }

        private void process(ProtectedPKIMessage request, ProtectedPKIMessageBuilder builder) throws Exception {
            String transaction = Jobs.hex(request.getHeader().getTransactionID().getOctets());
            int type = request.getBody().getType();
            if (type == PKIBody.TYPE_INIT_REQ || type == PKIBody.TYPE_CERT_REQ) {
                CertificateRequestMessage asked = CertificateReqMessages.fromPKIBody(request.getBody()).getRequests()[0];
                Transaction begun = new Transaction(asked, type + 1, wantsImplicit(request.getHeader()));
                if (transactions.putIfAbsent(transaction, begun) != null) {
                    throw new Refusal(PKIFailureInfo.transactionIdInUse, "there is such a transaction");
                }
                begin(begun, builder);
                return;
            }
            Transaction known = transactions.get(transaction);
            if (known == null) {
                throw new Refusal(PKIFailureInfo.badRequest, "there is no such transaction");
            }
            if (type == PKIBody.TYPE_POPO_REP && known.challenge != null) {
                byte[] answered = POPODecryptionKeyResponseContent.fromPKIBody(request.getBody()).getResponses()[0];
                if (!new BigInteger(answered).equals(new BigInteger(known.challenge))) {
                    throw new Refusal(PKIFailureInfo.badPOP, "that is not the number of the challenge");
                }
                issue(known, builder, null);
            } else if (type == PKIBody.TYPE_CERT_CONFIRM && known.issued != null) {
                CertificateStatus status = new CertificateConfirmationContent(
                        CertConfirmContent.getInstance(request.getBody().getContent())).getStatusMessages()[0];
                if (!status.isVerified(known.issued, digests)) {
                    throw new Refusal(PKIFailureInfo.badCertId, "certHash is that of another certificate");
                }
                transactions.remove(transaction);
                builder.setBody(new PKIBody(PKIBody.TYPE_CONFIRM, new PKIConfirmContent()));
            } else {
                throw new Refusal(PKIFailureInfo.badRequest, "this message does not belong here");
            }
        }

        private void begin(Transaction begun, ProtectedPKIMessageBuilder builder) throws Exception {
            SubjectPublicKeyInfo asked = begun.request.getCertTemplate().getPublicKey();
            switch (begun.request.getProofOfPossessionType()) {
                case CertificateRequestMessage.popSigningKey:
                    if (!begun.request.isValidSigningKeyPOP(
                            new JcaContentVerifierProviderBuilder().setProvider("BC").build(asked))) {
                        throw new Refusal(PKIFailureInfo.badPOP, "the signature of the new key does not match");
                    }
                    issue(begun, builder, null);
                    return;
                case CertificateRequestMessage.popKeyEncipherment:
                    ProofOfPossession proof = begun.request.toASN1Structure().getPop();
                    POPOPrivKey how = POPOPrivKey.getInstance(proof.getObject());
                    PublicKey publicKey = new JcaPEMKeyConverter().setProvider("BC").getPublicKey(asked);
                    byte[] identifier = new JcaX509ExtensionUtils().createSubjectKeyIdentifier(publicKey).getKeyIdentifier();
                    RecipientInfoGenerator recipient = publicKey.getAlgorithm().startsWith("ML-KEM")
                            ? new JceKEMRecipientInfoGenerator(identifier, publicKey, NISTObjectIdentifiers.id_aes256_wrap)
                                    .setKDF(new AlgorithmIdentifier(PKCSObjectIdentifiers.id_alg_hkdf_with_sha256))
                                    .setProvider("BC")
                            : new JceKeyTransRecipientInfoGenerator(identifier, OAEP, publicKey).setProvider("BC");
                    if (SubsequentMessage.encrCert.equals(how.getValue())) {
                        issue(begun, builder, recipient);
                    } else {
                        challenge(begun, builder, recipient);
                    }
                    return;
                default:
                    throw new Refusal(PKIFailureInfo.badPOP, "no proof of possession that this CA takes");
            }
        }

        private void challenge(Transaction begun, ProtectedPKIMessageBuilder builder, RecipientInfoGenerator recipient)
                throws Exception {
            byte[] number = new byte[16];
            RANDOM.nextBytes(number);
            // A positive number, so that it is the same whichever way it is read.
            number[0] = (byte) (number[0] & 0x7f | 1);
            begun.challenge = number;
            POPODecryptionKeyChallengeContentBuilder content = new POPODecryptionKeyChallengeContentBuilder(
                    digests.get(SHA256),
                    NISTObjectIdentifiers.id_aes256_CBC);
            builder.setBody(content.addChallenge(recipient, sender(), number).build());
        }

        private void issue(Transaction begun, ProtectedPKIMessageBuilder builder, RecipientInfoGenerator recipient)
                throws Exception {
            CertTemplate template = begun.request.getCertTemplate();
            long now = System.currentTimeMillis();
            X509v3CertificateBuilder profile = new X509v3CertificateBuilder(
                    new JcaX509CertificateHolder(certificate).getSubject(), new BigInteger(63, RANDOM),
                    new Date(now - 60_000), new Date(now + 86_400_000), template.getSubject(), template.getPublicKey());
            JcaX509ExtensionUtils extensions = new JcaX509ExtensionUtils();
            profile.addExtension(
                    Extension.authorityKeyIdentifier, false, extensions.createAuthorityKeyIdentifier(certificate));
            if (template.getExtensions() != null) {
                for (ASN1ObjectIdentifier type : template.getExtensions().getExtensionOIDs()) {
                    profile.addExtension(template.getExtensions().getExtension(type));
                }
            }
            begun.issued = profile.build(new JcaContentSignerBuilder("SHA256withECDSA").setProvider("BC").build(key));
            CertificateResponseBuilder response =
                    new CertificateResponseBuilder(begun.request.getCertReqId(), new PKIStatusInfo(PKIStatus.granted));
            if (recipient == null) {
                response.withCertificate(begun.issued);
            } else {
                CMSEnvelopedDataGenerator generator = new CMSEnvelopedDataGenerator();
                generator.addRecipientInfoGenerator(recipient);
                CMSEnvelopedData sealed = generator.generate(
                        new CMSProcessableCMPCertificate(
                                new CMPCertificate(begun.issued.toASN1Structure())),
                        new JceCMSContentEncryptorBuilder(NISTObjectIdentifiers.id_aes256_CBC).setProvider("BC").build());
                response.withCertificate(sealed);
            }
            builder.setBody(begun.responseType,
                    new CertificateRepMessageBuilder().addCertificateResponse(response.build()).build());
            // What comes encrypted proves possession by its confirmation only.
            if (begun.isImplicit && recipient == null) {
                builder.addGeneralInfo(new InfoTypeAndValue(CMPObjectIdentifiers.it_implicitConfirm));
            }
        }

        private static boolean wantsImplicit(PKIHeader header) {
            if (header.getGeneralInfo() == null) {
                return false;
            }
            for (InfoTypeAndValue info : header.getGeneralInfo()) {
                if (CMPObjectIdentifiers.it_implicitConfirm.equals(info.getInfoType())) {
                    return true;
                }
            }
            return false;
        }

        /** The CA itself under a secret, else the signer. */
        private GeneralName sender() throws Exception {
            X509Certificate whose = job.has("secret") ? certificate : job.certificates("signer").get(0);
            return new GeneralName(X500Name.getInstance(whose.getSubjectX500Principal().getEncoded()));
        }

        private ProtectedPKIMessageBuilder answering(PKIHeader header) throws Exception {
            byte[] nonce = new byte[16];
            RANDOM.nextBytes(nonce);
            int version = header.getPvno().intValueExact();
            ProtectedPKIMessageBuilder builder = new ProtectedPKIMessageBuilder(version, sender(), header.getSender())
                    .setMessageTime(new Date()).setTransactionID(header.getTransactionID().getOctets())
                    .setSenderNonce(nonce).setRecipNonce(header.getSenderNonce().getOctets());
            if (job.has("secret")) {
                builder.setSenderKID(job.octets("reference"));
            } else {
                X509Certificate signer = job.certificates("signer").get(0);
                builder.addCMPCertificate(new JcaX509CertificateHolder(signer));
                builder.setSenderKID(org.bouncycastle.asn1.ASN1OctetString.getInstance(
                        org.bouncycastle.asn1.ASN1OctetString.getInstance(
                                signer.getExtensionValue(Extension.subjectKeyIdentifier.getId())).getOctets()).getOctets());
            }
            return builder;
        }

        private ProtectedPKIMessage protect(ProtectedPKIMessageBuilder builder) throws Exception {
            if (job.has("secret")) {
                return builder.build(new JcePBMac1CalculatorBuilder("HmacSHA256", 256).setProvider("BC")
                        .setIterationCount(1000).build(job.get("secret").toCharArray()));
            }
            return builder.build(
                    new JcaContentSignerBuilder("SHA256withECDSA").setProvider("BC").build(job.key("signer_key")));
        }
    }
}
