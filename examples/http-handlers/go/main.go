// Command words runs the jobs of the kind `words` as requests to net/http: `go run .`.
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// signed refuses requests that are not from our jobstream, and those older than five minutes.
func signed(key []byte, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		timestamp := r.Header.Get("webhook-timestamp")
		seconds, err := strconv.ParseInt(timestamp, 10, 64)
		age := time.Since(time.Unix(seconds, 0)).Abs()
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(r.Header.Get("webhook-id") + "." + timestamp + "."))
		mac.Write(body)
		own := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for _, signature := range strings.Fields(r.Header.Get("webhook-signature")) {
			if err == nil && age < 5*time.Minute && hmac.Equal(own, []byte(signature)) {
				r.Body = io.NopCloser(bytes.NewReader(body))
				next.ServeHTTP(w, r)
				return
			}
		}
		http.Error(w, "the signature does not match", http.StatusUnauthorized)
	})
}

func words(w http.ResponseWriter, r *http.Request) {
	var job struct{ Text *string }
	if err := json.NewDecoder(r.Body).Decode(&job); err != nil || job.Text == nil {
		// 422 fails the job without a retry. 503 with Retry-After would have it retried later.
		http.Error(w, "text is missing", http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]int{"words": len(strings.Fields(*job.Text))})
}

func main() {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"))
	if err != nil || len(key) == 0 {
		log.Fatal("WEBHOOK_SECRET is not whsec_ and base64")
	}
	address := "127.0.0.1:9000"
	if port := os.Getenv("PORT"); port != "" {
		address = "127.0.0.1:" + port
	}
	http.Handle("POST /words", signed(key, http.HandlerFunc(words)))
	log.Fatal(http.ListenAndServe(address, nil))
}
