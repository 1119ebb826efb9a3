// An external scaler whose answers a test decides over HTTP, and which tells what it was asked.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	pb "flyball.dev/test/externalscaler/pb"
)

type number struct {
	Int   int64   `json:"int"`
	Float float64 `json:"float"`
}

type spec struct {
	Name string `json:"name"`
	number
}

// state is what a test sets: answers, and how methods misbehave.
type state struct {
	Specs  []spec              `json:"specs"`
	Values map[string][]number `json:"values"`
	Active bool                `json:"active"`
	// Fail gives a method's next calls a status; how many of them, by method. -1 = all.
	Fail map[string]uint32 `json:"fail"`
	// Times limits failures and empty answers, by method; absent = all.
	Times map[string]int `json:"times"`
	// Empty answers nothing from these methods.
	Empty map[string]bool `json:"empty"`
	// Hang never answers these methods.
	Hang map[string]bool `json:"hang"`
	// HangsFor limits that to the object of this name; empty = all.
	HangsFor string `json:"hangs_for"`
}

type call struct {
	Method    string            `json:"method"`
	At        float64           `json:"at"`
	Name      string            `json:"name"`
	Namespace string            `json:"namespace"`
	Metadata  map[string]string `json:"metadata"`
	Metric    string            `json:"metric"`
	Deadline  float64           `json:"deadline"`
}

type event struct {
	active *bool
	specs  bool
	end    bool
	code   codes.Code
}

type server struct {
	pb.UnimplementedExternalScalerServer
	mutex   sync.Mutex
	state   state
	calls   []call
	streams map[chan event]string
}

func (s *server) note(ctx context.Context, method string, ref *pb.ScaledObjectRef, metric string) {
	left := -1.0
	if deadline, ok := ctx.Deadline(); ok {
		left = time.Until(deadline).Seconds()
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.calls = append(s.calls, call{
		method, float64(time.Now().UnixNano()) / 1e9, ref.GetName(), ref.GetNamespace(),
		ref.GetScalerMetadata(), metric, left,
	})
}

// misbehave says whether a method should answer nothing, or fails or hangs as told.
func (s *server) misbehave(ctx context.Context, method string, name string) (bool, error) {
	s.mutex.Lock()
	concerned := s.state.HangsFor == "" || s.state.HangsFor == name
	hangs, code, empty := s.state.Hang[method] && concerned, s.state.Fail[method], s.state.Empty[method]
	if left, limited := s.state.Times[method]; limited && (code != 0 || empty) {
		if left <= 0 {
			code, empty = 0, false
		} else {
			s.state.Times[method] = left - 1
		}
	}
	s.mutex.Unlock()
	if hangs {
		<-ctx.Done()
		return false, ctx.Err()
	}
	if code != 0 {
		return false, status.Error(codes.Code(code), "told to fail")
	}
	return empty, nil
}

func (s *server) specs() *pb.GetMetricSpecResponse {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	response := &pb.GetMetricSpecResponse{}
	for _, one := range s.state.Specs {
		response.MetricSpecs = append(response.MetricSpecs, &pb.MetricSpec{
			MetricName: one.Name, TargetSize: one.Int, TargetSizeFloat: one.Float,
		})
	}
	return response
}

func (s *server) GetMetricSpec(ctx context.Context, ref *pb.ScaledObjectRef) (*pb.GetMetricSpecResponse, error) {
	s.note(ctx, "GetMetricSpec", ref, "")
	empty, err := s.misbehave(ctx, "GetMetricSpec", ref.GetName())
	if err != nil || empty {
		return &pb.GetMetricSpecResponse{}, err
	}
	return s.specs(), nil
}

func (s *server) GetMetrics(ctx context.Context, request *pb.GetMetricsRequest) (*pb.GetMetricsResponse, error) {
	s.note(ctx, "GetMetrics", request.GetScaledObjectRef(), request.GetMetricName())
	empty, err := s.misbehave(ctx, "GetMetrics", request.GetScaledObjectRef().GetName())
	response := &pb.GetMetricsResponse{}
	if err != nil || empty {
		return response, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, one := range s.state.Values[request.GetMetricName()] {
		response.MetricValues = append(response.MetricValues, &pb.MetricValue{
			MetricName: "not looked at", MetricValue: one.Int, MetricValueFloat: one.Float,
		})
	}
	return response, nil
}

func (s *server) IsActive(ctx context.Context, ref *pb.ScaledObjectRef) (*pb.IsActiveResponse, error) {
	s.note(ctx, "IsActive", ref, "")
	if _, err := s.misbehave(ctx, "IsActive", ref.GetName()); err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return &pb.IsActiveResponse{Result: s.state.Active}, nil
}

func (s *server) follow(ctx context.Context, method string, send func(event) error) error {
	events := make(chan event, 16)
	s.mutex.Lock()
	s.streams[events] = method
	s.mutex.Unlock()
	defer func() {
		s.mutex.Lock()
		delete(s.streams, events)
		s.mutex.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case one := <-events:
			if one.end {
				if one.code != codes.OK {
					return status.Error(one.code, "told to end")
				}
				return nil
			}
			if err := send(one); err != nil {
				return err
			}
		}
	}
}

func (s *server) StreamIsActive(ref *pb.ScaledObjectRef, stream pb.ExternalScaler_StreamIsActiveServer) error {
	ctx := stream.Context()
	s.note(ctx, "StreamIsActive", ref, "")
	if _, err := s.misbehave(ctx, "StreamIsActive", ref.GetName()); err != nil {
		return err
	}
	return s.follow(ctx, "StreamIsActive", func(one event) error {
		if one.active == nil {
			return nil
		}
		return stream.Send(&pb.IsActiveResponse{Result: *one.active})
	})
}

func (s *server) StreamMetricSpec(ref *pb.ScaledObjectRef, stream pb.ExternalScaler_StreamMetricSpecServer) error {
	ctx := stream.Context()
	s.note(ctx, "StreamMetricSpec", ref, "")
	if _, err := s.misbehave(ctx, "StreamMetricSpec", ref.GetName()); err != nil {
		return err
	}
	return s.follow(ctx, "StreamMetricSpec", func(one event) error {
		if !one.specs {
			return nil
		}
		return stream.Send(s.specs())
	})
}

func (s *server) control(port int) error {
	read := func(w http.ResponseWriter, r *http.Request, into any) bool {
		if err := json.NewDecoder(r.Body).Decode(into); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return false
		}
		return true
	}
	http.HandleFunc("/state", func(w http.ResponseWriter, r *http.Request) {
		var next state
		if read(w, r, &next) {
			s.mutex.Lock()
			s.state = next
			s.mutex.Unlock()
		}
	})
	http.HandleFunc("/push", func(w http.ResponseWriter, r *http.Request) {
		var wanted struct {
			Active *bool  `json:"active"`
			Specs  bool   `json:"specs"`
			End    bool   `json:"end"`
			Code   uint32 `json:"code"`
			Method string `json:"method"`
		}
		if !read(w, r, &wanted) {
			return
		}
		s.mutex.Lock()
		for events, method := range s.streams {
			if wanted.Method == "" || wanted.Method == method {
				events <- event{wanted.Active, wanted.Specs, wanted.End, codes.Code(wanted.Code)}
			}
		}
		s.mutex.Unlock()
	})
	http.HandleFunc("/calls", func(w http.ResponseWriter, _ *http.Request) {
		s.mutex.Lock()
		defer s.mutex.Unlock()
		open := map[string]int{}
		for _, method := range s.streams {
			open[method]++
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"calls": s.calls, "streams": open})
	})
	return http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", port), nil)
}

func main() {
	port := flag.Int("port", 0, "of the gRPC server")
	control := flag.Int("control", 0, "of the HTTP server")
	certificate := flag.String("cert", "", "PEM file; empty = plain text")
	key := flag.String("key", "", "PEM file")
	authority := flag.String("ca", "", "PEM file of the authority of clients; empty = anybody")
	flag.Parse()
	options := []grpc.ServerOption{}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		config := &tls.Config{Certificates: []tls.Certificate{pair}}
		if *authority != "" {
			pem, err := os.ReadFile(*authority)
			if err != nil {
				log.Fatal(err)
			}
			config.ClientCAs = x509.NewCertPool()
			config.ClientCAs.AppendCertsFromPEM(pem)
			config.ClientAuth = tls.RequireAndVerifyClientCert
		}
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	scaler := &server{streams: map[chan event]string{}}
	built := grpc.NewServer(options...)
	pb.RegisterExternalScalerServer(built, scaler)
	go func() { log.Fatal(scaler.control(*control)) }()
	log.Fatal(built.Serve(listener))
}
