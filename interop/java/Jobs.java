import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.StringReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;

/**
 * Takes one job a line from standard input, `id TAB operation TAB name=value TAB ...`, and prints `id TAB ok|error TAB words`
 * for each; several at the same time. Ends with standard input.
 */
final class Jobs {
    /** What a program does with a job. */
    interface Worker {
        String run(Job job, String operation) throws Exception;

        /** More about a job that failed. */
        default String about(Job job) {
            return "";
        }
    }

    /** What answers a message. */
    interface Responder {
        byte[] answer(byte[] message) throws Exception;
    }

    private final HttpServer server;
    private final ExecutorService workers = Executors.newCachedThreadPool();
    private final AtomicInteger endpoints = new AtomicInteger();

    Jobs() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.setExecutor(workers);
        server.start();
    }

    /** A path of its own for a responder. */
    String serve(Responder responder) {
        String path = "/" + endpoints.incrementAndGet();
        server.createContext(path, exchange -> {
            byte[] answer;
            try {
                answer = responder.answer(exchange.getRequestBody().readAllBytes());
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

    void work(Worker worker) throws IOException {
        // What others print must not get between the answers.
        PrintStream answers = System.out;
        System.setOut(System.err);
        answers.println("ready\t" + server.getAddress().getPort());
        BufferedReader jobs = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = jobs.readLine(); line != null; line = jobs.readLine()) {
            String[] words = line.split("\t");
            Job job = new Job(words);
            workers.submit(() -> {
                String answer;
                try {
                    answer = words[0] + "\tok\t" + worker.run(job, words[1]);
                } catch (Throwable failure) {
                    answer = words[0] + "\terror\t" + reasons(failure).replace('\t', ' ') + "\t" + worker.about(job);
                }
                synchronized (answers) {
                    answers.println(answer.replace('\n', ' '));
                    answers.flush();
                }
            });
        }
        System.exit(0);
    }

    /** The words of a failure and of what caused it. */
    private static String reasons(Throwable failure) {
        StringBuilder words = new StringBuilder();
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            words.append(words.length() == 0 ? "" : ": ").append(cause);
        }
        return words.toString();
    }

    /** What a job says. */
    static final class Job {
        private final Map<String, String> values = new HashMap<>();
        byte[] lastAnswer;

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

        String get(String name, String otherwise) {
            return values.getOrDefault(name, otherwise);
        }

        byte[] octets(String name) {
            return get(name).getBytes(StandardCharsets.UTF_8);
        }

        byte[] file(String name) {
            try {
                return Files.readAllBytes(Path.of(get(name)));
            } catch (IOException failure) {
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
                } catch (IOException failure) {
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
            } catch (IOException failure) {
                throw new IllegalArgumentException(failure);
            }
        }

        PublicKey publicKey(String name) {
            try {
                return new JcaPEMKeyConverter().setProvider("BC").getPublicKey((SubjectPublicKeyInfo) pem(name).get(0));
            } catch (IOException failure) {
                throw new IllegalArgumentException(failure);
            }
        }
    }

    static String hex(byte[] bytes) {
        StringBuilder text = new StringBuilder();
        for (byte b : bytes) {
            text.append(String.format("%02x", b));
        }
        return text.toString();
    }
}
