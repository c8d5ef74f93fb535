// Package v1 owns the wire types of Switchyard's HTTP API, version 1: what
// requests and answers hold, under field names that are stable.
//
// It refuses behaviour: the server fills these types and the client reads them.
package v1
