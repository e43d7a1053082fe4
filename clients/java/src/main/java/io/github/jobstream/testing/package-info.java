/** Test support for programs that use jobstream: starts a real server, and runs handlers without a server. */
package io.github.jobstream.testing;
