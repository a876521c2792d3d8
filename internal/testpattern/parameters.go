package testpattern

// The NAL unit types in use (table 7-1), with nal_ref_idc 3 where others refer
// to the unit.
const (
	nalSlice    = 0x61
	nalKeyframe = 0x65
	nalSEI      = 0x06
	nalSPS      = 0x67
	nalPPS      = 0x68
	nalFiller   = 0x0c

	nalTypeMask = 0x1f
)

const (
	profileBaseline = 66
	// constrained sets constraint_set0_flag and constraint_set1_flag.
	constrained = 0xc0
)

// level31Bitrate is the largest bitrate of level 3.1, in bits per second; level
// 4.1 takes 50 Mbit/s.
const level31Bitrate = 14_000_000

func levelFor(bitrate int) byte {
	if bitrate > level31Bitrate {
		return 41
	}
	return 31
}

// sps is the sequence parameter set as a NAL unit (7.3.2.1.1, E.1.1).
func sps(fps int, level byte) []byte {
	var w bitWriter
	w.u(8, profileBaseline)
	w.u(8, constrained)
	w.u(8, uint32(level))
	w.ue(0)                // seq_parameter_set_id
	w.ue(frameNumBits - 4) // log2_max_frame_num_minus4
	w.ue(2)                // pic_order_cnt_type: pictures are shown as they come
	w.ue(1)                // max_num_ref_frames
	w.flag(false)          // gaps_in_frame_num_value_allowed_flag
	w.ue(mbWidth - 1)
	w.ue(mbHeight - 1)
	w.flag(true) // frame_mbs_only_flag
	w.flag(true) // direct_8x8_inference_flag
	w.flag(true) // frame_cropping_flag
	w.ue(0)
	w.ue(0)
	w.ue(0)
	w.ue((mbHeight*16 - height) / 2)
	w.flag(true)  // vui_parameters_present_flag
	w.flag(false) // aspect_ratio_info_present_flag
	w.flag(false) // overscan_info_present_flag
	w.flag(false) // video_signal_type_present_flag
	w.flag(false) // chroma_loc_info_present_flag
	w.flag(true)  // timing_info_present_flag, in fields
	w.u(32, 1)
	w.u(32, uint32(2*fps))
	w.flag(true)  // fixed_frame_rate_flag
	w.flag(false) // nal_hrd_parameters_present_flag
	w.flag(false) // vcl_hrd_parameters_present_flag
	w.flag(false) // pic_struct_present_flag
	w.flag(true)  // bitstream_restriction_flag
	w.flag(true)  // motion_vectors_over_pic_boundaries_flag
	w.ue(0)       // max_bytes_per_pic_denom: no limit
	w.ue(0)       // max_bits_per_mb_denom: no limit
	w.ue(0)       // log2_max_mv_length_horizontal
	w.ue(0)       // log2_max_mv_length_vertical
	w.ue(0)       // max_num_reorder_frames
	w.ue(1)       // max_dec_frame_buffering
	w.trailing()
	return appendEscaped([]byte{nalSPS}, w.buf)
}

// pps is the picture parameter set as a NAL unit (7.3.2.2).
func pps() []byte {
	var w bitWriter
	w.ue(0)       // pic_parameter_set_id
	w.ue(0)       // seq_parameter_set_id
	w.flag(false) // entropy_coding_mode_flag: CAVLC
	w.flag(false) // bottom_field_pic_order_in_frame_present_flag
	w.ue(0)       // num_slice_groups_minus1
	w.ue(0)       // num_ref_idx_l0_default_active_minus1
	w.ue(0)       // num_ref_idx_l1_default_active_minus1
	w.flag(false) // weighted_pred_flag
	w.u(2, 0)     // weighted_bipred_idc
	w.se(quantiser - 26)
	w.se(0)       // pic_init_qs_minus26
	w.se(0)       // chroma_qp_index_offset
	w.flag(true)  // deblocking_filter_control_present_flag
	w.flag(false) // constrained_intra_pred_flag
	w.flag(false) // redundant_pic_cnt_present_flag
	w.trailing()
	return appendEscaped([]byte{nalPPS}, w.buf)
}

// avcConfig is the body of the AVC sequence header: the
// AVCDecoderConfigurationRecord of ISO/IEC 14496-15 after the FLV bytes.
func avcConfig(fps int, level byte) []byte {
	s, p := sps(fps, level), pps()
	b := []byte{
		flvKeyframe, avcSequenceHeader, 0, 0, 0,
		1, profileBaseline, constrained, level,
		0xff, // NAL units are preceded by four bytes of length
		0xe1, byte(len(s) >> 8), byte(len(s)),
	}
	b = append(b, s...)
	b = append(b, 1, byte(len(p)>>8), byte(len(p)))
	return append(b, p...)
}
