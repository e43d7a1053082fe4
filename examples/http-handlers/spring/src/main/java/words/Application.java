package words;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Map;
import java.util.StringTokenizer;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/** The jobs of the kind {@code words} as requests to Spring: {@code java -jar target/words.jar}. */
@SpringBootApplication
@RestController
public class Application {
  private final byte[] key =
      Base64.getDecoder().decode(System.getenv("WEBHOOK_SECRET").replaceFirst("^whsec_", ""));
  private final ObjectMapper json = new ObjectMapper();

  public static void main(String[] args) {
    SpringApplication.run(Application.class, args);
  }

  @PostMapping("/words")
  Map<String, Integer> words(
      @RequestBody byte[] body,
      @RequestHeader("webhook-id") String id,
      @RequestHeader("webhook-timestamp") long timestamp,
      @RequestHeader("webhook-signature") String signatures)
      throws IOException, GeneralSecurityException {
    if (!isSigned(body, id, timestamp, signatures)) {
      throw new ResponseStatusException(HttpStatus.UNAUTHORIZED, "the signature does not match");
    }
    JsonNode text = json.readTree(body).path("text");
    if (!text.isTextual()) {
      // 422 fails the job without a retry. An exception is answered with 500, and the job is retried.
      throw new ResponseStatusException(HttpStatus.UNPROCESSABLE_ENTITY, "text is missing");
    }
    return Map.of("words", new StringTokenizer(text.asText()).countTokens());
  }

  /** Whether a request is from our jobstream, and not older than five minutes. */
  private boolean isSigned(byte[] body, String id, long timestamp, String signatures)
      throws GeneralSecurityException {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    mac.update((id + "." + timestamp + ".").getBytes());
    byte[] own = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes();
    Duration age = Duration.between(Instant.ofEpochSecond(timestamp), Instant.now()).abs();
    boolean matches = false;
    for (String signature : signatures.split(" ")) {
      matches |= MessageDigest.isEqual(own, signature.getBytes());
    }
    return matches && age.toMinutes() < 5;
  }
}
