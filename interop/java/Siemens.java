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
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringReader;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Security;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.bouncycastle.asn1.cmp.CertRepMessage;
import org.bouncycastle.asn1.cmp.ErrorMsgContent;
import org.bouncycastle.asn1.cmp.PKIBody;
import org.bouncycastle.asn1.cmp.PKIMessage;
import org.bouncycastle.asn1.cmp.PKIStatusInfo;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;

/**
 * Siemens' CmpRaComponent for the harness, as RA in front of a CA and as client. Takes one job a line from standard input,
 * `id TAB operation TAB name=value TAB ...`, and prints `id TAB ok|error TAB words` for each; ends with standard input.
 */
public final class Siemens {
    private static final HttpClient HTTP = HttpClient.newHttpClient();
    private static final AtomicInteger ENDPOINTS = new AtomicInteger();

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        // What others print must not get between the answers.
        PrintStream answers = System.out;
        System.setOut(System.err);
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        ExecutorService workers = Executors.newCachedThreadPool();
        server.setExecutor(workers);
        server.start();
        answers.println("ready\t" + server.getAddress().getPort());
        BufferedReader jobs = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = jobs.readLine(); line != null; line = jobs.readLine()) {
            String[] words = line.split("\t");
            Job job = new Job(words);
            workers.submit(() -> {
                String answer;
                try {
                    answer = words[0] + "\tok\t" + run(job, words[1], server);
                } catch (Throwable failure) {
                    answer = words[0] + "\terror\t" + reasons(failure).replace('\t', ' ') + "\t" + refusal(job.lastAnswer);
                }
                synchronized (answers) {
                    answers.println(answer.replace('\n', ' '));
                    answers.flush();
                }
            });
        }
        System.exit(0);
    }

    private static String run(Job job, String operation, HttpServer server) throws Exception {
        switch (operation) {
            case "serve":
                return serve(job, server);
            case "enrol":
                return enrol(job);
            case "revoke":
                return String.valueOf(client(job, null, revocation(job)).invokeRevocation());
            case "cacerts":
                List<X509Certificate> found = client(job, null, null).getCaCertificates();
                return hex(found == null ? new byte[0] : found.get(0).getEncoded());
            case "template":
                return hex(client(job, null, null).getCertificateRequestTemplate());
            case "root":
                return hex(client(job, null, null).getRootCaCertificateUpdate(job.certificates("old_root").get(0))
                        .getNewWithNew().getEncoded());
            case "crls":
                return hex(client(job, null, null).getCrls(null, null, new String[] {job.get("issuer")}, null)
                        .get(0).getEncoded());
            default:
                throw new IllegalArgumentException("unknown operation " + operation);
        }
    }

    /** The words of a failure and of what caused it. */
    private static String reasons(Throwable failure) {
        StringBuilder words = new StringBuilder();
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            words.append(words.length() == 0 ? "" : ": ").append(cause);
        }
        return words.toString();
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

    private static String serve(Job job, HttpServer server) throws Exception {
        String path = "/" + ENDPOINTS.incrementAndGet();
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
        server.createContext(path, exchange -> {
            byte[] answer;
            try {
                byte[] request = exchange.getRequestBody().readAllBytes();
                answer = self.get(0).processRequest(request);
                CountDownLatch polled = delayed.get(transaction(PKIMessage.getInstance(request)));
                if (polled != null) {
                    polled.countDown();
                }
            } catch (Throwable failure) {
                failure.printStackTrace();
                answer = null;
            }
            if (answer == null) {
                exchange.sendResponseHeaders(500, -1);
            } else {
                exchange.getResponseHeaders().set("Content-Type", "application/pkixcmp");
                exchange.sendResponseHeaders(200, answer.length);
                exchange.getResponseBody().write(answer);
            }
            exchange.close();
        });
        return path;
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
        private final Job job;
        private final CmpMessageInterface device;
        private final CmpMessageInterface authority;

        Endpoint(Job job) throws Exception {
            this.job = job;
            CredentialContext toDevice = job.has("secret") ? job.secret() : job.has("ra_key") ? job.signer("ra") : null;
            device = new Side(job.trust("device_trust"), toDevice, job.mode("answers"), null);
            NestedEndpointContext nested = job.is("nested") ? new Nested(job) : null;
            authority = new Side(
                    job.trust("ca_trust"), job.has("ra_key") ? job.signer("ra") : null, job.mode("requests"), nested);
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
            return job.trust("ca_trust");
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
        private final Job job;

        Nested(Job job) {
            this.job = job;
        }

        @Override
        public VerificationContext getInputVerification() {
            return job.trust("ca_trust");
        }

        @Override
        public CredentialContext getOutputCredentials() {
            return job.signer("ra");
        }

        @Override
        public boolean isIncomingRecipientValid(String recipient) {
            return true;
        }
    }

    /** The key generation authority: the RA makes the key. */
    private static final class KeyGeneration implements CkgContext {
        private final Job job;

        KeyGeneration(Job job) throws Exception {
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
            return () -> job.secret();
        }

        @Override
        public SignatureCredentialContext getSigningCredentials() {
            return job.signer("kga");
        }
    }

    // ---- client ----

    private static String enrol(Job job) throws Exception {
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
                return job.has("request") ? job.bytes("request") : null;
            }

            @Override
            public VerificationContext getEnrollmentTrust() {
                return job.trust("anchors");
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
        String key = pair == null ? "\t" + hex(result.getPrivateKey().getEncoded()) : "";
        return hex(result.getEnrolledCertificate().getEncoded()) + key;
    }

    private static RevocationContext revocation(Job job) {
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

    private static CmpClient client(Job job, EnrollmentContext enrollment, RevocationContext revocation) throws Exception {
        CredentialContext credential = job.has("secret") ? job.secret() : job.signer("device");
        CmpMessageInterface side =
                new Side(job.trust("anchors"), credential, CmpMessageInterface.ReprotectMode.reprotect, null);
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

    // ---- what a job says ----

    private static final class Job {
        private final Map<String, String> values = new HashMap<>();
        private byte[] lastAnswer;

        Job(String[] words) {
            for (int i = 2; i < words.length; i++) {
                int end = words[i].indexOf('=');
                values.put(words[i].substring(0, end), words[i].substring(end + 1));
            }
        }

        boolean has(String name) {
            return values.containsKey(name);
        }

        boolean is(String name) {
            return "1".equals(values.get(name));
        }

        String get(String name) {
            String value = values.get(name);
            if (value == null) {
                throw new IllegalArgumentException("the job has no " + name);
            }
            return value;
        }

        CmpMessageInterface.ReprotectMode mode(String name) {
            return CmpMessageInterface.ReprotectMode.valueOf(values.getOrDefault(name, "keep"));
        }

        byte[] bytes(String name) {
            try {
                return Files.readAllBytes(Path.of(get(name)));
            } catch (Exception failure) {
                throw new IllegalArgumentException(failure);
            }
        }

        private List<Object> pem(String name) {
            List<Object> found = new ArrayList<>();
            for (String file : get(name).split(",")) {
                try (PEMParser parser = new PEMParser(new StringReader(Files.readString(Path.of(file))))) {
                    for (Object entry = parser.readObject(); entry != null; entry = parser.readObject()) {
                        found.add(entry);
                    }
                } catch (Exception failure) {
                    throw new IllegalArgumentException(file, failure);
                }
            }
            return found;
        }

        List<X509Certificate> certificates(String name) {
            List<X509Certificate> found = new ArrayList<>();
            for (Object entry : pem(name)) {
                try {
                    found.add(new JcaX509CertificateConverter().getCertificate((X509CertificateHolder) entry));
                } catch (Exception failure) {
                    throw new IllegalArgumentException(failure);
                }
            }
            return found;
        }

        PrivateKey key(String name) {
            try {
                return new JcaPEMKeyConverter().setProvider("BC").getPrivateKey((PrivateKeyInfo) pem(name).get(0));
            } catch (Exception failure) {
                throw new IllegalArgumentException(failure);
            }
        }

        PublicKey publicKey(String name) {
            try {
                return new JcaPEMKeyConverter().setProvider("BC").getPublicKey((SubjectPublicKeyInfo) pem(name).get(0));
            } catch (Exception failure) {
                throw new IllegalArgumentException(failure);
            }
        }

        SignatureCredentialContext signer(String name) {
            List<X509Certificate> chain = certificates(name + "_chain");
            PrivateKey key = key(name + "_key");
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

        SharedSecretCredentialContext secret() {
            boolean isPbmac1 = "pbmac1".equals(values.get("mac"));
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
                    return get("reference").getBytes(StandardCharsets.UTF_8);
                }

                @Override
                public byte[] getSharedSecret() {
                    return get("secret").getBytes(StandardCharsets.UTF_8);
                }
            };
        }

        /** Anchors, and the secret where one is shared. */
        VerificationContext trust(String name) {
            Collection<X509Certificate> anchors = has(name) ? certificates(name) : List.of();
            Collection<X509Certificate> others = has("intermediates") ? certificates("intermediates") : List.of();
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
                    return has("secret") ? get("secret").getBytes(StandardCharsets.UTF_8) : null;
                }

                @Override
                public EnumSet<java.security.cert.PKIXRevocationChecker.Option> getPKIXRevocationCheckerOptions() {
                    return null;
                }
            };
        }
    }

    private static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) {
            text.append(String.format("%02x", b));
        }
        return text.toString();
    }
}
