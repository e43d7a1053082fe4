package jobstream

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var (
	// httpStatus matches the message of gRPC for an HTTP response that is not gRPC.
	httpStatus = regexp.MustCompile(`^unexpected HTTP status code received from server: (\d{3})\b`)
	// headersLimit matches the message of gRPC for headers that it does not send, because the server would refuse them.
	headersLimit = regexp.MustCompile(`header list size to send violates the maximum size \((\d+ bytes)\)`)
)

// httpError returns the error of an HTTP response that is not gRPC, such as that of a proxy, or of headers that would get
// one; nil for any other status. Package grpc has mapped the HTTP status to the code.
func httpError(st *status.Status, address string) error {
	if found := headersLimit.FindStringSubmatch(st.Message()); found != nil {
		return headersTooLarge(address, "limit "+found[1])
	}
	found := httpStatus.FindStringSubmatch(st.Message())
	if found == nil {
		return nil
	}
	number, _ := strconv.Atoi(found[1]) // Three digits.
	if number == http.StatusRequestHeaderFieldsTooLarge {
		return headersTooLarge(address, "HTTP status "+found[1])
	}
	return typed(&Error{Code: st.Code(), Message: fmt.Sprintf(
		"%s responded with HTTP status %d %s, not with gRPC: check the address and the proxy in front of the server",
		address, number, http.StatusText(number))})
}

// headersTooLarge returns the error of a call whose token and metadata are larger than the server or a proxy accepts.
func headersTooLarge(address, why string) error {
	return typed(&Error{Code: codes.Unknown, Message: fmt.Sprintf(
		"the headers of the call are larger than %s accepts (%s): shorten the token or the metadata", address, why)})
}
