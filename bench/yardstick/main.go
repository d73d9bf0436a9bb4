// The yardstick of `cargo xtask bench`: an external processor that decides nothing. It answers the headers of a
// request with one fixed address and sends every piece of a body back as it came, and parses nothing.
package main

import (
	"flag"
	"io"
	"log"
	"net"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	pb "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

const destination = "x-gateway-destination-endpoint"

type server struct {
	pb.UnimplementedExternalProcessorServer
	endpoint string
}

func (s *server) Process(stream pb.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(s.answer(request)); err != nil {
			return err
		}
	}
}

func (s *server) answer(request *pb.ProcessingRequest) *pb.ProcessingResponse {
	switch part := request.Request.(type) {
	case *pb.ProcessingRequest_RequestHeaders:
		set := &core.HeaderValueOption{
			Header:       &core.HeaderValue{Key: destination, RawValue: []byte(s.endpoint)},
			AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}
		mutation := &pb.HeaderMutation{SetHeaders: []*core.HeaderValueOption{set}}
		headers := &pb.HeadersResponse{Response: &pb.CommonResponse{HeaderMutation: mutation}}
		return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_RequestHeaders{RequestHeaders: headers}}
	case *pb.ProcessingRequest_RequestBody:
		return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_RequestBody{RequestBody: echo(part.RequestBody)}}
	case *pb.ProcessingRequest_ResponseHeaders:
		headers := &pb.HeadersResponse{}
		return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_ResponseHeaders{ResponseHeaders: headers}}
	case *pb.ProcessingRequest_ResponseBody:
		return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_ResponseBody{ResponseBody: echo(part.ResponseBody)}}
	case *pb.ProcessingRequest_RequestTrailers:
		return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_RequestTrailers{RequestTrailers: &pb.TrailersResponse{}}}
	default:
		return &pb.ProcessingResponse{Response: &pb.ProcessingResponse_ResponseTrailers{ResponseTrailers: &pb.TrailersResponse{}}}
	}
}

func echo(body *pb.HttpBody) *pb.BodyResponse {
	piece := &pb.StreamedBodyResponse{Body: body.Body, EndOfStream: body.EndOfStream}
	mutation := &pb.BodyMutation{Mutation: &pb.BodyMutation_StreamedResponse{StreamedResponse: piece}}
	return &pb.BodyResponse{Response: &pb.CommonResponse{BodyMutation: mutation}}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:9102", "address to serve on")
	endpoint := flag.String("endpoint", "127.0.0.1:8000", "the address that every request is sent to")
	cert := flag.String("cert", "", "certificate file: serve TLS")
	key := flag.String("key", "", "its private key")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{grpc.MaxConcurrentStreams(100_000)}
	if *cert != "" {
		tls, err := credentials.NewServerTLSFromFile(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(tls))
	}
	grpcServer := grpc.NewServer(options...)
	pb.RegisterExternalProcessorServer(grpcServer, &server{endpoint: *endpoint})
	log.Fatal(grpcServer.Serve(listener))
}
