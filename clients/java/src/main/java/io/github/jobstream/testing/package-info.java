/** For the tests of programs that use jobstream: a real server in one line, and handlers without a server. */
package io.github.jobstream.testing;
