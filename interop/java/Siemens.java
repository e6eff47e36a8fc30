import com.siemens.pki.cmpclientcomponent.configuration.ClientContext;
import com.siemens.pki.cmpclientcomponent.configuration.EnrollmentContext;
import com.siemens.pki.cmpclientcomponent.configuration.RevocationContext;
import com.siemens.pki.cmpclientcomponent.main.CmpClient;
import com.siemens.pki.cmpracomponent.configuration.CkgContext;
import com.siemens.pki.cmpracomponent.configuration.CkgKeyAgreementContext;
import com.siemens.pki.cmpracomponent.configuration.CkgKeyTransportContext;
import com.siemens.pki.cmpracomponent.configuration.CkgPasswordContext;
import com.siemens.pki.cmpracomponent.configuration.CmpMessageInterface;
import com.siemens.pki.cmpracomponent.configuration.Configuration;
import com.siemens.pki.cmpracomponent.configuration.CredentialContext;
import com.siemens.pki.cmpracomponent.configuration.InventoryInterface;
import com.siemens.pki.cmpracomponent.configuration.NestedEndpointContext;
import com.siemens.pki.cmpracomponent.configuration.SharedSecretCredentialContext;
import com.siemens.pki.cmpracomponent.configuration.SignatureCredentialContext;
import com.siemens.pki.cmpracomponent.configuration.SupportMessageHandlerInterface;
import com.siemens.pki.cmpracomponent.configuration.VerificationContext;
import com.siemens.pki.cmpracomponent.main.CmpRaComponent;
import com.siemens.pki.cmpracomponent.main.CmpRaComponent.CmpRaInterface;
import com.siemens.pki.cmpracomponent.main.CmpRaComponent.UpstreamExchange;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import org.bouncycastle.asn1.cmp.CertRepMessage;
import org.bouncycastle.asn1.cmp.ErrorMsgContent;
import org.bouncycastle.asn1.cmp.PKIBody;
import org.bouncycastle.asn1.cmp.PKIMessage;
import org.bouncycastle.asn1.cmp.PKIStatusInfo;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * Siemens' CmpRaComponent for the harness, as RA in front of a CA and as client.
 */
public final class Siemens {
    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static Jobs jobs;

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        jobs = new Jobs();
        jobs.work(new Jobs.Worker() {
            @Override
            public String run(Jobs.Job job, String operation) throws Exception {
                return Siemens.run(job, operation);
            }

            @Override
            public String about(Jobs.Job job) {
                return refusal(job.lastAnswer);
            }
        });
    }

    private static String run(Jobs.Job job, String operation) throws Exception {
        switch (operation) {
            case "serve":
                return serve(job);
            case "enrol":
                return enrol(job);
            case "revoke":
                return String.valueOf(client(job, null, revocation(job)).invokeRevocation());
            case "cacerts":
                List<X509Certificate> found = client(job, null, null).getCaCertificates();
                return Jobs.hex(found == null ? new byte[0] : found.get(0).getEncoded());
            case "template":
                return Jobs.hex(client(job, null, null).getCertificateRequestTemplate());
            case "root":
                return Jobs.hex(client(job, null, null).getRootCaCertificateUpdate(job.certificates("old_root").get(0))
                        .getNewWithNew().getEncoded());
            case "crls":
                return Jobs.hex(client(job, null, null).getCrls(null, null, new String[] {job.get("issuer")}, null)
                        .get(0).getEncoded());
            default:
                throw new IllegalArgumentException("unknown operation " + operation);
        }
    }

    /** What the last answer refused with: PKIStatus, failInfo and text; the client itself tells nothing of it. */
    private static String refusal(byte[] answer) {
        if (answer == null) {
            return "";
        }
        PKIBody body = PKIMessage.getInstance(answer).getBody();
        PKIStatusInfo status;
        if (body.getContent() instanceof ErrorMsgContent) {
            status = ((ErrorMsgContent) body.getContent()).getPKIStatusInfo();
        } else if (body.getContent() instanceof CertRepMessage) {
            status = ((CertRepMessage) body.getContent()).getResponse()[0].getStatus();
        } else {
            return "";
        }
        long bits = 0;
        if (status.getFailInfo() != null) {
            for (int bit = 0; bit < 27; bit++) {
                byte[] octets = status.getFailInfo().getBytes();
                bits |= bit / 8 < octets.length && (octets[bit / 8] & 0x80 >> bit % 8) != 0 ? 1L << bit : 0;
            }
        }
        String text = status.getStatusString() == null ? "" : status.getStatusString().getStringAtUTF8(0).getString();
        return status.getStatus() + "\t" + bits + "\t" + text.replace('\t', ' ');
    }

    // ---- RA ----

    private static String serve(Jobs.Job job) throws Exception {
        List<CmpRaInterface> self = new ArrayList<>();
        // Transactions that are put off, until the device has polled once.
        Map<String, CountDownLatch> delayed = new ConcurrentHashMap<>();
        UpstreamExchange upstream = (message, profile, type) -> {
            PKIMessage request = PKIMessage.getInstance(message);
            if (!job.is("delayed") || request.getBody().getType() == PKIBody.TYPE_CERT_CONFIRM) {
                return post(job.get("upstream"), message);
            }
            CountDownLatch polled = new CountDownLatch(2);
            delayed.put(transaction(request), polled);
            new Thread(() -> {
                try {
                    polled.await();
                    self.get(0).gotResponseAtUpstream(post(job.get("upstream"), message));
                } catch (Exception failure) {
                    failure.printStackTrace();
                }
            }).start();
            return null;
        };
        self.add(CmpRaComponent.instantiateCmpRaComponent(new Endpoint(job), upstream));
        return jobs.serve(request -> {
            byte[] answer = self.get(0).processRequest(request);
            CountDownLatch polled = delayed.get(transaction(PKIMessage.getInstance(request)));
            if (polled != null) {
                polled.countDown();
            }
            return answer;
        });
    }

    private static String transaction(PKIMessage message) {
        return message.getHeader().getTransactionID().toString();
    }

    private static byte[] post(String url, byte[] message) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).header("Content-Type", "application/pkixcmp")
                .POST(HttpRequest.BodyPublishers.ofByteArray(message)).build();
        return HTTP.send(request, HttpResponse.BodyHandlers.ofByteArray()).body();
    }

    /** How the RA behaves towards the device and towards the CA. */
    private static final class Endpoint implements Configuration {
        private final Jobs.Job job;
        private final CmpMessageInterface device;
        private final CmpMessageInterface authority;

        Endpoint(Jobs.Job job) throws Exception {
            this.job = job;
            CredentialContext toDevice = job.has("secret") ? secret(job) : job.has("ra_key") ? signer(job, "ra") : null;
            device = new Side(trust(job, "device_trust"), toDevice, mode(job, "answers"), null);
            NestedEndpointContext nested = job.is("nested") ? new Nested(job) : null;
            authority = new Side(
                    trust(job, "ca_trust"), job.has("ra_key") ? signer(job, "ra") : null, mode(job, "requests"), nested);
        }

        @Override
        public CkgContext getCkgConfiguration(String profile, int type) {
            try {
                return new KeyGeneration(job);
            } catch (Exception failure) {
                throw new IllegalStateException(failure);
            }
        }

        @Override
        public CmpMessageInterface getDownstreamConfiguration(String profile, int type) {
            return device;
        }

        @Override
        public int getDownstreamTimeout(String profile, int type) {
            return 60;
        }

        @Override
        public VerificationContext getEnrollmentTrust(String profile, int type) {
            return trust(job, "ca_trust");
        }

        @Override
        public boolean getForceRaVerifyOnUpstream(String profile, int type) {
            return job.is("ra_verified");
        }

        @Override
        public InventoryInterface getInventory(String profile, int type) {
            return null;
        }

        @Override
        public int getRetryAfterTimeInSeconds(String profile, int type) {
            return 1;
        }

        @Override
        public SupportMessageHandlerInterface getSupportMessageHandler(String profile, String type) {
            return null;
        }

        @Override
        public CmpMessageInterface getUpstreamConfiguration(String profile, int type) {
            return authority;
        }

        @Override
        public boolean isRaVerifiedAcceptable(String profile, int type) {
            return false;
        }
    }

    /** One side of an RA, or a client. */
    private static final class Side implements CmpMessageInterface {
        private final VerificationContext trust;
        private final CredentialContext credential;
        private final ReprotectMode mode;
        private final NestedEndpointContext nested;

        Side(VerificationContext trust, CredentialContext credential, ReprotectMode mode, NestedEndpointContext nested) {
            this.trust = trust;
            this.credential = credential;
            this.mode = mode;
            this.nested = nested;
        }

        @Override
        public VerificationContext getInputVerification() {
            return trust;
        }

        @Override
        public NestedEndpointContext getNestedEndpointContext() {
            return nested;
        }

        @Override
        public CredentialContext getOutputCredentials() {
            return credential;
        }

        @Override
        public ReprotectMode getReprotectMode() {
            return mode;
        }

        @Override
        public boolean getSuppressRedundantExtraCerts() {
            return false;
        }

        @Override
        public boolean isCacheExtraCerts() {
            return true;
        }

        @Override
        public boolean isMessageTimeDeviationAllowed(long seconds) {
            return Math.abs(seconds) < 300;
        }
    }

    /** Added protection (RFC 9483 section 5.2.2). */
    private static final class Nested implements NestedEndpointContext {
        private final Jobs.Job job;

        Nested(Jobs.Job job) {
            this.job = job;
        }

        @Override
        public VerificationContext getInputVerification() {
            return trust(job, "ca_trust");
        }

        @Override
        public CredentialContext getOutputCredentials() {
            return signer(job, "ra");
        }

        @Override
        public boolean isIncomingRecipientValid(String recipient) {
            return true;
        }
    }

    /** The key generation authority: the RA makes the key. */
    private static final class KeyGeneration implements CkgContext {
        private final Jobs.Job job;

        KeyGeneration(Jobs.Job job) throws Exception {
            this.job = job;
        }

        @Override
        public CkgKeyAgreementContext getKeyAgreementContext() {
            return new CkgKeyAgreementContext() {
                @Override
                public PrivateKey getOwnPrivateKey() {
                    return job.key("kga_key");
                }

                @Override
                public String getKeyAgreementAlg() {
                    return "1.3.132.1.11.1"; // dhSinglePass-stdDH-sha256kdf-scheme
                }

                @Override
                public String getKeyEncryptionAlg() {
                    return "2.16.840.1.101.3.4.1.5"; // id-aes128-wrap
                }

                @Override
                public PublicKey getOwnPublicKey() {
                    return job.certificates("kga_chain").get(0).getPublicKey();
                }
            };
        }

        @Override
        public CkgKeyTransportContext getKeyTransportContext() {
            return new CkgKeyTransportContext() {};
        }

        @Override
        public CkgPasswordContext getPasswordContext() {
            return () -> secret(job);
        }

        @Override
        public SignatureCredentialContext getSigningCredentials() {
            return signer(job, "kga");
        }
    }

    // ---- client ----

    private static String enrol(Jobs.Job job) throws Exception {
        int type = Map.of("ir", PKIBody.TYPE_INIT_REQ, "cr", PKIBody.TYPE_CERT_REQ, "kur", PKIBody.TYPE_KEY_UPDATE_REQ,
                "p10cr", PKIBody.TYPE_P10_CERT_REQ).get(job.get("command"));
        KeyPair pair = job.has("new_key") ? new KeyPair(job.publicKey("new_public"), job.key("new_key")) : null;
        EnrollmentContext context = new EnrollmentContext() {
            @Override
            public KeyPair getCertificateKeypair() {
                return pair;
            }

            @Override
            public byte[] getCertificationRequest() {
                return job.has("request") ? job.file("request") : null;
            }

            @Override
            public VerificationContext getEnrollmentTrust() {
                return trust(job, "anchors");
            }

            @Override
            public int getEnrollmentType() {
                return type;
            }

            @Override
            public List<TemplateExtension> getExtensions() {
                return null;
            }

            @Override
            public X509Certificate getOldCert() {
                return job.has("certificate") ? job.certificates("certificate").get(0) : null;
            }

            @Override
            public boolean getRequestImplictConfirm() {
                return job.is("implicit");
            }

            @Override
            public String getSubject() {
                return job.get("subject");
            }
        };
        CmpClient.EnrollmentResult result = client(job, context, null).invokeEnrollment();
        if (result == null) {
            throw new IllegalStateException("no certificate");
        }
        String key = pair == null ? "\t" + Jobs.hex(result.getPrivateKey().getEncoded()) : "";
        return Jobs.hex(result.getEnrolledCertificate().getEncoded()) + key;
    }

    private static RevocationContext revocation(Jobs.Job job) {
        X509Certificate certificate = job.certificates("certificate").get(0);
        return new RevocationContext() {
            @Override
            public String getIssuer() {
                return certificate.getIssuerX500Principal().getName();
            }

            @Override
            public BigInteger getSerialNumber() {
                return certificate.getSerialNumber();
            }
        };
    }

    private static CmpClient client(Jobs.Job job, EnrollmentContext enrollment, RevocationContext revocation) throws Exception {
        CredentialContext credential = job.has("secret") ? secret(job) : signer(job, "device");
        CmpMessageInterface side =
                new Side(trust(job, "anchors"), credential, CmpMessageInterface.ReprotectMode.reprotect, null);
        UpstreamExchange upstream = (message, profile, type) -> job.lastAnswer = post(job.get("url"), message);
        return new CmpClient(null, upstream, side, new ClientContext() {
            @Override
            public EnrollmentContext getEnrollmentContext() {
                return enrollment;
            }

            @Override
            public RevocationContext getRevocationContext() {
                return revocation;
            }
        });
    }

    // ---- credentials and trust ----

    private static SignatureCredentialContext signer(Jobs.Job job, String name) {
        List<X509Certificate> chain = job.certificates(name + "_chain");
        PrivateKey key = job.key(name + "_key");
        return new SignatureCredentialContext() {
            @Override
            public List<X509Certificate> getCertificateChain() {
                return chain;
            }

            @Override
            public PrivateKey getPrivateKey() {
                return key;
            }
        };
    }

    private static SharedSecretCredentialContext secret(Jobs.Job job) {
        boolean isPbmac1 = "pbmac1".equals(job.get("mac", ""));
        return new SharedSecretCredentialContext() {
            @Override
            public String getPasswordBasedMacAlgorithm() {
                return isPbmac1 ? "PBMAC1" : "PASSWORDBASEDMAC";
            }

            @Override
            public int getIterationCount() {
                return 1000;
            }

            @Override
            public int getkeyLength() {
                return 32;
            }

            @Override
            public byte[] getSenderKID() {
                return job.octets("reference");
            }

            @Override
            public byte[] getSharedSecret() {
                return job.octets("secret");
            }
        };
    }

    /** Anchors, and the secret where one is shared. */
    private static VerificationContext trust(Jobs.Job job, String name) {
        Collection<X509Certificate> anchors = job.has(name) ? job.certificates(name) : List.of();
        Collection<X509Certificate> others = job.has("intermediates") ? job.certificates("intermediates") : List.of();
        return new VerificationContext() {
            @Override
            public Collection<X509Certificate> getTrustedCertificates() {
                return anchors;
            }

            @Override
            public Collection<X509Certificate> getAdditionalCerts() {
                return others;
            }

            @Override
            public byte[] getSharedSecret(byte[] senderKid) {
                return job.has("secret") ? job.octets("secret") : null;
            }

            @Override
            public EnumSet<java.security.cert.PKIXRevocationChecker.Option> getPKIXRevocationCheckerOptions() {
                return null;
            }
        };
    }

    private static CmpMessageInterface.ReprotectMode mode(Jobs.Job job, String name) {
        return CmpMessageInterface.ReprotectMode.valueOf(job.get(name, "keep"));
    }
}
