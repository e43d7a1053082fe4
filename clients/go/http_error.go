package jobstream

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"google.golang.org/grpc/status"
)

// httpStatus matches the message of gRPC for an HTTP response that is not gRPC.
var httpStatus = regexp.MustCompile(`^unexpected HTTP status code received from server: (\d{3})\b`)

// httpError returns the error of an HTTP response that is not gRPC, such as that of a proxy; nil for any other status.
// Package grpc has mapped the HTTP status to the code.
func httpError(st *status.Status, address string) error {
	found := httpStatus.FindStringSubmatch(st.Message())
	if found == nil {
		return nil
	}
	number, _ := strconv.Atoi(found[1]) // Three digits.
	return typed(&Error{Code: st.Code(), Message: fmt.Sprintf(
		"%s responded with HTTP status %d %s, not with gRPC: check the address and the proxy in front of the server",
		address, number, http.StatusText(number))})
}
